import type { Effect } from '@madang/sdk';
import type { FromBlur, ToBlur } from './messages';
import { useBlur } from './state';

/** A worker that takes longer to begin will not begin. */
const BEGIN_MS = 20_000;
/** A page in the background is told of no new picture of a video: then it looks for itself. */
const HIDDEN_FRAME_MS = 100;

/** Chromium's way to get at the frames of a track and to make a track of frames; not in the DOM typings. */
interface FrameStreams {
  MediaStreamTrackProcessor?: new (of: { track: MediaStreamTrack; maxBufferSize?: number }) => {
    readable: ReadableStream<VideoFrame>;
  };
  MediaStreamTrackGenerator?: new (of: { kind: 'video' }) => MediaStreamTrack & {
    writable: WritableStream<VideoFrame>;
  };
}

const given = globalThis as FrameStreams;

/** Whether this browser can blur the background of a camera. */
export function canBlur(): boolean {
  return (
    typeof Worker === 'function' &&
    typeof OffscreenCanvas === 'function' &&
    typeof createImageBitmap === 'function' &&
    (given.MediaStreamTrackGenerator !== undefined || 'captureStream' in HTMLCanvasElement.prototype)
  );
}

/** Blurs what is behind a person. Its code and its model are loaded when it is applied first. */
export const blur: Effect = {
  async apply(track) {
    const worker = await begin();
    const { MediaStreamTrackProcessor, MediaStreamTrackGenerator } = given;
    try {
      if (MediaStreamTrackProcessor === undefined || MediaStreamTrackGenerator === undefined)
        return await byPictures(worker, track);
      const made = new MediaStreamTrackGenerator({ kind: 'video' });
      // What cannot be painted in time is left out.
      const frames = new MediaStreamTrackProcessor({ track, maxBufferSize: 1 });
      const message: ToBlur = { do: 'stream', from: frames.readable, to: made.writable };
      worker.postMessage(message, [frames.readable, made.writable]);
      watch(worker, made);
      return { track: made, stop: () => end(worker, made) };
    } catch (error) {
      worker.terminate();
      throw error;
    }
  },
};

/** Whether it can really be had here: loads it. */
export async function tryBlur(): Promise<boolean> {
  try {
    (await begin()).terminate();
    return true;
  } catch {
    return false;
  }
}

/** A worker that has the model. */
async function begin(): Promise<Worker> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  try {
    await new Promise<void>((resolve, reject) => {
      setTimeout(() => reject(new Error('no answer')), BEGIN_MS);
      worker.onerror = () => reject(new Error('the worker does not run'));
      worker.onmessage = ({ data }: MessageEvent<FromBlur>) => {
        if (data.is === 'ready') resolve();
        else reject(new Error(data.is === 'failed' ? data.why : 'out of turn'));
      };
      const model = new URL('./selfie_segmentation_landscape.tflite', import.meta.url).href;
      worker.postMessage({ do: 'begin', model } satisfies ToBlur);
    });
  } catch (error) {
    worker.terminate();
    throw error;
  }
  return worker;
}

/** The track that was made ends with its worker: nothing is shown in its place. */
function watch(worker: Worker, made: MediaStreamTrack): void {
  const fail = (): void => {
    end(worker, made);
    useBlur.setState({ failed: true });
  };
  worker.onerror = fail;
  worker.onmessage = ({ data }: MessageEvent<FromBlur>) => {
    if (data.is === 'failed' && made.readyState === 'live') fail();
  };
}

function end(worker: Worker, made: MediaStreamTrack): void {
  made.stop();
  worker.terminate();
}

/** Where frames cannot be had: pictures of a video go to the worker, and come back into a canvas. */
async function byPictures(
  worker: Worker,
  track: MediaStreamTrack,
): Promise<{ track: MediaStreamTrack; stop(): void }> {
  const video = document.createElement('video');
  video.muted = true;
  video.playsInline = true;
  video.srcObject = new MediaStream([track]);
  await video.play();
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  const context = canvas.getContext('2d');
  const [made] = canvas.captureStream().getVideoTracks();
  if (context === null || made === undefined) throw new Error('no canvas');
  let over = false;
  const stop = (): void => {
    over = true;
    video.srcObject = null;
    end(worker, made);
  };
  watch(worker, made);
  const next = async (): Promise<void> => {
    await newPicture(video);
    if (over) return;
    const picture = await createImageBitmap(video);
    worker.postMessage({ do: 'picture', picture } satisfies ToBlur, [picture]);
  };
  const failed = worker.onmessage;
  worker.onmessage = (event: MessageEvent<FromBlur>) => {
    const { data } = event;
    if (data.is !== 'picture') {
      failed?.call(worker, event);
      return;
    }
    canvas.width = data.picture.width;
    canvas.height = data.picture.height;
    context.drawImage(data.picture, 0, 0);
    data.picture.close();
    // A video that gives nothing for a moment is asked again.
    if (!over) void next().catch(() => setTimeout(() => void next().catch(stop), HIDDEN_FRAME_MS));
  };
  await next();
  return { track: made, stop };
}

/** Waits for the next picture of a video; in the background for a while. */
function newPicture(video: HTMLVideoElement): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, HIDDEN_FRAME_MS);
    if ('requestVideoFrameCallback' in video) video.requestVideoFrameCallback(() => resolve());
  });
}
