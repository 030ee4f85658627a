/// <reference lib="webworker" />
import { Composer } from './compose';
import type { FromBlur, ToBlur } from './messages';
import { readModel } from './model';
import { buildNetwork } from './network';
import { LOOK } from './compose';

/** Blurs backgrounds apart from the page, which would stutter. */
declare const self: DedicatedWorkerGlobalScope;

let composer: Composer | null = null;
const canvas = new OffscreenCanvas(1, 1);

self.addEventListener('message', ({ data }: MessageEvent<ToBlur>) => {
  void handle(data).catch((error: unknown) => {
    say({ is: 'failed', why: error instanceof Error ? error.message : String(error) });
  });
});

async function handle(message: ToBlur): Promise<void> {
  switch (message.do) {
    case 'begin': {
      // A file of the pages themselves, not a request to a service.
      // eslint-disable-next-line no-restricted-globals
      const response = await fetch(message.model);
      if (!response.ok) throw new Error(`the model: HTTP ${response.status}`);
      const network = buildNetwork(readModel(await response.arrayBuffer()), LOOK.height, LOOK.width);
      composer = new Composer(network, () => performance.now());
      say({ is: 'ready' });
      return;
    }
    case 'stream':
      return stream(message.from, message.to);
    case 'picture': {
      const { picture } = message;
      paint(picture, picture.width, picture.height);
      picture.close();
      const painted = canvas.transferToImageBitmap();
      self.postMessage({ is: 'picture', picture: painted } satisfies FromBlur, [painted]);
    }
  }
}

/** Until the camera ends, or nobody takes its pictures any more. */
async function stream(from: ReadableStream<VideoFrame>, to: WritableStream<VideoFrame>): Promise<void> {
  const frames = from.getReader();
  const sink = to.getWriter();
  for (;;) {
    const { done, value: frame } = await frames.read();
    if (done) break;
    const { displayWidth, displayHeight, timestamp } = frame;
    try {
      paint(frame, displayWidth, displayHeight);
    } finally {
      frame.close();
    }
    await sink.write(new VideoFrame(canvas, { timestamp }));
  }
  await sink.close();
}

function paint(picture: CanvasImageSource, width: number, height: number): void {
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext('2d');
  if (composer === null || context === null) throw new Error('not ready');
  composer.paint(picture, context);
}

function say(message: FromBlur): void {
  self.postMessage(message);
}
