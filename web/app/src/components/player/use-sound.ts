import { useCallback, useState } from 'react';
import { keptSound } from '../../lib/storage';

/** How much one key makes it louder. */
const STEP = 0.05;
/** Where the sound is turned on again after the slider was at nothing. */
const AUDIBLE = 0.5;

/** The sound of the player: how loud it is and whether it is on, kept for the next time. */
export interface PlayerSound {
  /** Nothing is heard, by choice or because the browser wants a click first. */
  silent: boolean;
  /** The browser wants a click first. */
  blocked: boolean;
  /** 0 to 1. */
  volume: number;
  /** Rises with each click that allows sound. */
  allowed: number;
  toggle: () => void;
  set: (volume: number) => void;
  /** One step louder, or quieter. */
  step: (direction: 1 | -1) => void;
  onBlocked: () => void;
}

/** The sound of a player. */
export function useSound(): PlayerSound {
  const [{ volume, muted }, setKept] = useState(keptSound.read);
  const [blocked, setBlocked] = useState(false);
  const [allowed, setAllowed] = useState(0);
  const silent = muted || blocked || volume === 0;
  const change = (next: { volume: number; muted: boolean }): void => {
    keptSound.write(next);
    setKept(next);
    setBlocked(false);
    setAllowed((count) => count + 1);
  };
  const set = (wanted: number): void => {
    const next = Math.min(Math.max(Math.round(wanted * 100) / 100, 0), 1);
    // A slider at nothing is no choice of silence for the next time.
    change({ volume: next, muted: false });
  };
  return {
    silent,
    blocked,
    volume,
    allowed,
    toggle: () =>
      change(silent ? { volume: volume === 0 ? AUDIBLE : volume, muted: false } : { volume, muted: true }),
    set,
    step: (direction) => set((silent ? 0 : volume) + direction * STEP),
    onBlocked: useCallback(() => setBlocked(true), []),
  };
}
