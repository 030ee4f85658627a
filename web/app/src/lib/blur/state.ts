import { create } from 'zustand';

/** How the blur of one's own camera stands. */
export interface BlurState {
  on: boolean;
  busy: boolean;
  /** It cannot be had, or not any more. */
  failed: boolean;
}

/** One camera is sent by a page at a time. */
export const useBlur = create<BlurState>(() => ({ on: false, busy: false, failed: false }));
