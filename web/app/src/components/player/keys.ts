/** What a key of the keyboard does to the player. */
export type PlayerKey =
  'play' | 'mute' | 'fullscreen' | 'theatre' | 'picture' | 'louder' | 'quieter' | 'help';

/** In the order of the list that the page shows. Letters by their place on the keyboard do well in Korean, too. */
export const PLAYER_KEYS: readonly { key: PlayerKey; codes: readonly string[]; shown: string }[] = [
  { key: 'play', codes: ['KeyK', 'Space'], shown: 'K' },
  { key: 'mute', codes: ['KeyM'], shown: 'M' },
  { key: 'louder', codes: ['ArrowUp'], shown: '↑' },
  { key: 'quieter', codes: ['ArrowDown'], shown: '↓' },
  { key: 'fullscreen', codes: ['KeyF'], shown: 'F' },
  { key: 'theatre', codes: ['KeyT'], shown: 'T' },
  { key: 'picture', codes: ['KeyI'], shown: 'I' },
];

/** The parts of a keyboard event that say what was meant. */
export interface Pressed {
  code: string;
  key: string;
  repeat: boolean;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  shiftKey: boolean;
  /** What has the focus. */
  target: EventTarget | null;
}

const TYPING =
  'input:not([type="range"]):not([type="checkbox"]):not([type="radio"]), textarea, select, ' +
  '[contenteditable]:not([contenteditable="false"])';
/** What takes keys of its own: a button its space, a slider and a list their arrows, a menu and a dialog everything. */
const TAKES_SPACE = 'button, a[href], summary, input';
const TAKES_ARROWS = 'input, [role="listbox"], [role="log"], [role="slider"], [tabindex="0"]';
const TAKES_ALL = '[role="menu"], dialog';

/** What a key means; null where it belongs to what has the focus, or to the browser. */
export function playerKey(event: Pressed): PlayerKey | null {
  const { code, key, repeat, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  if (within(target, TYPING) || within(target, TAKES_ALL)) return null;
  if (key === '?') return 'help';
  if (event.shiftKey) return null;
  const found = PLAYER_KEYS.find(({ codes }) => codes.includes(code))?.key ?? null;
  if (code === 'Space' && within(target, TAKES_SPACE)) return null;
  const louder = found === 'louder' || found === 'quieter';
  if (louder) return within(target, TAKES_ARROWS) ? null : found;
  // A key that is held does it once.
  return repeat ? null : found;
}

function within(target: EventTarget | null, selector: string): boolean {
  return target instanceof Element && target.closest(selector) !== null;
}
