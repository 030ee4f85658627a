import { create } from 'zustand';
import type { Room } from '@madang/sdk';
import { keptBlur } from '../storage';
import { blur } from './effect';

/** How the blur of one's own camera stands. */
export interface BlurState {
  on: boolean;
  busy: boolean;
  /** It cannot be had: the camera is as it was. */
  failed: boolean;
}

/** One camera is sent by a page at a time. */
export const useBlur = create<BlurState>(() => ({ on: false, busy: false, failed: false }));

let turn = 0;

/** Blurs what is behind the person, or shows it again; `false` where it cannot be blurred. The last wish counts. */
export async function blurCamera(room: Room, on: boolean): Promise<boolean> {
  const own = ++turn;
  useBlur.setState({ on, busy: true, failed: false });
  let done = true;
  try {
    await room.me.camera.effect(on ? blur : null);
  } catch {
    done = false;
  }
  if (own !== turn) return done;
  useBlur.setState({ busy: false, on: on && done, failed: on && !done });
  if (done) keptBlur.write(on);
  return done;
}
