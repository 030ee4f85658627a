import type { Tool } from '../tools/desk.js';

/** What keys and buttons do on a board. */
export type Action =
  | `tool ${Tool}`
  | 'undo'
  | 'redo'
  | 'copy'
  | 'cut'
  | 'paste'
  | 'duplicate'
  | 'delete'
  | 'select all'
  | 'select next'
  | 'select previous'
  | 'deselect'
  | 'edit'
  | 'group'
  | 'ungroup'
  | 'lock'
  | 'front'
  | 'forward'
  | 'backward'
  | 'back'
  | 'left'
  | 'right'
  | 'up'
  | 'down'
  | 'zoom in'
  | 'zoom out'
  | 'zoom 100'
  | 'fit'
  | 'grid'
  | 'next page'
  | 'previous page'
  | 'help';

interface Key {
  action: Action;
  code: string;
  /** Ctrl, or Cmd on a Mac. */
  mod?: true;
  shift?: true;
  /** As the list shows it. */
  shown: string;
}

/**
 * Letters by their place on the keyboard do well in Korean, too. Those that a call has for itself (M, V, S, H, P, C, G, F,
 * I) stay the call's: who draws can still mute with one key. Copying and pasting are the browser's own keys.
 */
export const KEYS: readonly Key[] = [
  { action: 'tool select', code: 'Digit1', shown: '1' },
  { action: 'tool hand', code: 'Digit2', shown: '2' },
  { action: 'tool pen', code: 'Digit3', shown: '3' },
  { action: 'tool marker', code: 'Digit4', shown: '4' },
  { action: 'tool line', code: 'Digit5', shown: '5' },
  { action: 'tool arrow', code: 'Digit6', shown: '6' },
  { action: 'tool rectangle', code: 'Digit7', shown: '7' },
  { action: 'tool ellipse', code: 'Digit8', shown: '8' },
  { action: 'tool text', code: 'Digit9', shown: '9' },
  { action: 'tool note', code: 'Digit0', shown: '0' },
  { action: 'tool eraser', code: 'KeyE', shown: 'E' },
  { action: 'tool laser', code: 'KeyL', shown: 'L' },
  { action: 'undo', code: 'KeyZ', mod: true, shown: 'Ctrl Z' },
  { action: 'redo', code: 'KeyZ', mod: true, shift: true, shown: 'Ctrl Shift Z' },
  { action: 'redo', code: 'KeyY', mod: true, shown: 'Ctrl Y' },
  { action: 'copy', code: 'KeyC', mod: true, shown: 'Ctrl C' },
  { action: 'cut', code: 'KeyX', mod: true, shown: 'Ctrl X' },
  { action: 'paste', code: 'KeyV', mod: true, shown: 'Ctrl V' },
  { action: 'duplicate', code: 'KeyD', mod: true, shown: 'Ctrl D' },
  { action: 'delete', code: 'Delete', shown: 'Del' },
  { action: 'delete', code: 'Backspace', shown: '⌫' },
  { action: 'select all', code: 'KeyA', mod: true, shown: 'Ctrl A' },
  { action: 'select next', code: 'KeyN', shown: 'N' },
  { action: 'select previous', code: 'KeyN', shift: true, shown: 'Shift N' },
  { action: 'deselect', code: 'Escape', shown: 'Esc' },
  { action: 'edit', code: 'Enter', shown: 'Enter' },
  { action: 'group', code: 'KeyG', mod: true, shown: 'Ctrl G' },
  { action: 'ungroup', code: 'KeyG', mod: true, shift: true, shown: 'Ctrl Shift G' },
  { action: 'lock', code: 'KeyL', mod: true, shift: true, shown: 'Ctrl Shift L' },
  { action: 'forward', code: 'BracketRight', shown: ']' },
  { action: 'backward', code: 'BracketLeft', shown: '[' },
  { action: 'front', code: 'BracketRight', shift: true, shown: 'Shift ]' },
  { action: 'back', code: 'BracketLeft', shift: true, shown: 'Shift [' },
  { action: 'left', code: 'ArrowLeft', shown: '←' },
  { action: 'right', code: 'ArrowRight', shown: '→' },
  { action: 'up', code: 'ArrowUp', shown: '↑' },
  { action: 'down', code: 'ArrowDown', shown: '↓' },
  { action: 'zoom in', code: 'Equal', shown: '+' },
  { action: 'zoom out', code: 'Minus', shown: '−' },
  { action: 'zoom 100', code: 'Digit0', shift: true, shown: 'Shift 0' },
  { action: 'fit', code: 'Digit1', shift: true, shown: 'Shift 1' },
  { action: 'grid', code: 'Quote', mod: true, shown: "Ctrl '" },
  { action: 'next page', code: 'PageDown', shown: 'Page ↓' },
  { action: 'previous page', code: 'PageUp', shown: 'Page ↑' },
  { action: 'help', code: 'Slash', shift: true, shown: '?' },
];

/** Keys of which the browser itself makes something: the event of the clipboard comes after them. */
const BROWSERS: readonly Action[] = ['copy', 'cut', 'paste'];

export interface Pressed {
  code: string;
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  shiftKey: boolean;
  altKey: boolean;
}

/** What a key means on the board; null leaves it to the page and the browser. */
export function actionOf({ code, key, ctrlKey, metaKey, shiftKey, altKey }: Pressed): Action | null {
  if (altKey) return null;
  const mod = ctrlKey || metaKey;
  // Signs that stand elsewhere on other keyboards.
  if (!mod && key === '?') return 'help';
  if (!mod && key === '+') return 'zoom in';
  if (!mod && key === '-') return 'zoom out';
  const isArrow = code.startsWith('Arrow');
  const found = KEYS.find(
    (entry) =>
      entry.code === code && (entry.mod ?? false) === mod && (isArrow || (entry.shift ?? false) === shiftKey),
  );
  return found === undefined || BROWSERS.includes(found.action) ? null : found.action;
}
