import type { Point } from '../types.js';

/** Where a pointer is, and what is held. */
export interface Pointer {
  /** On the page. */
  at: Point;
  /** In CSS pixels, from the upper left corner of the board. */
  screen: Point;
  shift: boolean;
  alt: boolean;
  /** 0 to 1; null where the device does not say. */
  pressure: number | null;
  /** How far from an object still counts as on it, in board units. */
  reach: number;
}

/** What goes on from pressing to letting go. */
export interface Gesture {
  move(pointer: Pointer): void;
  up(pointer: Pointer): void;
  /** As if it had not begun. */
  cancel(): void;
}
