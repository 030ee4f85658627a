/** What a key of the keyboard does in a call. */
export type Shortcut =
  | 'microphone'
  | 'camera'
  | 'screen'
  | 'hand'
  | 'chat'
  | 'people'
  | 'board'
  | 'view'
  | 'fullscreen'
  | 'picture'
  | 'help'
  | 'next'
  | 'previous'
  | 'close'
  | 'talk';

/** In the order of the list that the page shows. Letters by their place on the keyboard do well in Korean, too. */
export const KEYS: readonly { shortcut: Shortcut; code: string; shown: string }[] = [
  { shortcut: 'microphone', code: 'KeyM', shown: 'M' },
  { shortcut: 'camera', code: 'KeyV', shown: 'V' },
  { shortcut: 'screen', code: 'KeyS', shown: 'S' },
  { shortcut: 'hand', code: 'KeyH', shown: 'H' },
  { shortcut: 'chat', code: 'KeyC', shown: 'C' },
  { shortcut: 'people', code: 'KeyP', shown: 'P' },
  { shortcut: 'board', code: 'KeyW', shown: 'W' },
  { shortcut: 'view', code: 'KeyG', shown: 'G' },
  { shortcut: 'fullscreen', code: 'KeyF', shown: 'F' },
  { shortcut: 'picture', code: 'KeyI', shown: 'I' },
  { shortcut: 'previous', code: 'ArrowLeft', shown: '←' },
  { shortcut: 'next', code: 'ArrowRight', shown: '→' },
  { shortcut: 'close', code: 'Escape', shown: 'Esc' },
];

/** The parts of a keyboard event that say what was meant. */
export interface Pressed {
  code: string;
  key: string;
  repeat: boolean;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  /** What has the focus. */
  target: EventTarget | null;
}

const TYPING = 'input, textarea, select, [contenteditable]:not([contenteditable="false"])';
/** What takes keys of its own: a button its space, a menu its arrows, a dialog everything. */
const TAKES_SPACE = 'button, a[href], summary, [role="menu"], dialog, video[controls]';
const TAKES_ARROWS = '[role="menu"], [role="listbox"], [role="slider"], dialog';

/** What a key means; null where it belongs to what has the focus, or to the browser. */
export function shortcutOf(event: Pressed): Shortcut | null {
  const { code, key, repeat, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || within(target, TYPING)) return null;
  if (code === 'Space') return within(target, TAKES_SPACE) ? null : 'talk';
  // A key that is held does it once, but pages turn on.
  const turns = code === 'ArrowLeft' || code === 'ArrowRight';
  if (repeat && !turns) return null;
  if (key === '?') return 'help';
  if (within(target, turns ? TAKES_ARROWS : 'dialog, [role="menu"]')) return null;
  return KEYS.find((entry) => entry.code === code)?.shortcut ?? null;
}

function within(target: EventTarget | null, selector: string): boolean {
  return target instanceof Element && target.closest(selector) !== null;
}

/** What push-to-talk tells the microphone. */
export type Talk = 'on' | 'off';

/**
 * The microphone is on while a key is held, if it was off before. Keys that are let go while another window has the
 * focus are never heard of: `end` is for that.
 */
export class PushToTalk {
  private talking = false;

  /** `on`: how the microphone is. */
  press(on: boolean): Talk | null {
    if (this.talking || on) return null;
    this.talking = true;
    return 'on';
  }

  end(): Talk | null {
    if (!this.talking) return null;
    this.talking = false;
    return 'off';
  }

  /** The person has decided otherwise meanwhile: with the button, or M. */
  forget(): void {
    this.talking = false;
  }
}
