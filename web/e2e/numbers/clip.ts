import type { Browser } from 'playwright-core';

import { openPage } from '../harness/browser';
import { within } from '../harness/process';

const WIDTH = 320;
const HEIGHT = 180;
const FRAMES = 90;
/** Who asks for a keyframe gets the next one of the clip: not much later than from an encoder. */
const KEY_EVERY = 3;
export const CLIP_FPS = 15;
const ENCODED_WITHIN_MS = 40_000;

/** A clip in VP8 for light clients, who encode nothing, as IVF: what Chromium makes of a picture that moves. */
export async function recordClip(browser: Browser, url: string): Promise<Buffer> {
  // Only pages of a secure origin encode; the machine itself is one.
  const page = await openPage(browser, url);
  const encoded = page.evaluate(
    async ({ width, height, frames, keyEvery, fps }) => {
      const chunks: { timestamp: number; bytes: Uint8Array }[] = [];
      const encoder = new VideoEncoder({
        output: (chunk) => {
          const bytes = new Uint8Array(chunk.byteLength);
          chunk.copyTo(bytes);
          chunks.push({ timestamp: chunks.length, bytes });
        },
        error: (error) => console.error(error.message),
      });
      encoder.configure({ codec: 'vp8', width, height, bitrate: 300_000, framerate: fps });
      const canvas = new OffscreenCanvas(width, height);
      const context = canvas.getContext('2d');
      if (context === null) throw new Error('no canvas');
      for (let n = 0; n < frames; n += 1) {
        context.fillStyle = `hsl(${(n * 4) % 360} 60% 40%)`;
        context.fillRect(0, 0, width, height);
        context.fillStyle = 'white';
        for (let ball = 0; ball < 12; ball += 1) {
          const x = width / 2 + Math.sin(n / 9 + ball) * (width / 2 - 20);
          const y = height / 2 + Math.cos(n / 7 + ball * 2) * (height / 2 - 20);
          context.fillRect(x - 10, y - 10, 20, 20);
        }
        const frame = new VideoFrame(canvas, { timestamp: (n * 1_000_000) / fps });
        encoder.encode(frame, { keyFrame: n % keyEvery === 0 });
        frame.close();
      }
      await encoder.flush();
      encoder.close();
      const size = 32 + chunks.reduce((sum, { bytes }) => sum + 12 + bytes.length, 0);
      const file = new Uint8Array(size);
      const view = new DataView(file.buffer);
      file.set(new TextEncoder().encode('DKIF'), 0);
      file.set(new TextEncoder().encode('VP80'), 8);
      view.setUint16(6, 32, true);
      view.setUint16(12, width, true);
      view.setUint16(14, height, true);
      view.setUint32(16, fps, true);
      view.setUint32(20, 1, true);
      view.setUint32(24, chunks.length, true);
      let at = 32;
      for (const { timestamp, bytes } of chunks) {
        view.setUint32(at, bytes.length, true);
        view.setBigUint64(at + 4, BigInt(timestamp), true);
        file.set(bytes, at + 12);
        at += 12 + bytes.length;
      }
      return [...file].map((byte) => String.fromCharCode(byte)).join('');
    },
    { width: WIDTH, height: HEIGHT, frames: FRAMES, keyEvery: KEY_EVERY, fps: CLIP_FPS },
  );
  const text = await within('a clip encoded by Chromium', ENCODED_WITHIN_MS, encoded);
  await page.context().close();
  return Buffer.from(text, 'latin1');
}
