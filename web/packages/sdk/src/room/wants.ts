/** What a page asks the server to send, by what it shows. Pure. */

import { MAX_WANTS, type SlotKind, type Source, type Want } from '../types.js';

/** A picture that a page has a place for. */
export interface Place {
  /** The `csrc` of what is shown. */
  csrc: number;
  source: Extract<Source, 'camera' | 'screen'>;
  /** Of whoever speaks mainly, whoever that is. */
  isSpeaker: boolean;
  /** The lower, the more important. */
  priority: number;
  pin: boolean;
}

/** A picture that is looked at. */
export interface Look extends Place {
  /** Physical pixels on the screen. */
  height: number;
}

/** Heights that are asked for: those of the usual encodings. Each change may cost a keyframe, so there are few. */
const HEIGHTS = [240, 480, 720, 1080] as const;
/** A picture may be shown this much larger than it is sent. */
const STRETCH = 1.4;
const LAST_PRIORITY = 255;

/** The height to ask for where a picture is shown `pixels` high. */
export function wantedHeight(pixels: number): number {
  return HEIGHTS.find((height) => height * STRETCH >= pixels) ?? 2160;
}

/**
 * In which kind of slot each picture goes, in the order of `places`. Whoever speaks mainly has the stage, which is in sync
 * with its voice; where nobody views that, the first pinned camera has it. Screens that have no slot of their own are
 * tiles.
 */
export function slotKinds(
  places: readonly Place[],
  slots: Readonly<Partial<Record<SlotKind, number>>>,
): SlotKind[] {
  let stages = slots.stage ?? 0;
  const screens = new Set<number>();
  const onStage = new Set<number>();
  if (stages > 0 && places.some(({ isSpeaker }) => isSpeaker)) stages -= 1;
  return places.map(({ csrc, source, isSpeaker, pin }) => {
    if (source === 'screen') {
      if (!screens.has(csrc) && screens.size >= (slots.screen ?? 0)) return 'tile';
      screens.add(csrc);
      return 'screen';
    }
    if (isSpeaker) return (slots.stage ?? 0) > 0 ? 'stage' : 'tile';
    if (!pin || (!onStage.has(csrc) && onStage.size >= stages)) return 'tile';
    onStage.add(csrc);
    return 'stage';
  });
}

/** The whole of what is wanted: `looks` in their slots, then the sounds of screens. What is looked at twice is one. */
export function wantsOf(
  looks: readonly Look[],
  kinds: readonly SlotKind[],
  sounds: readonly number[],
): Want[] {
  const wants = new Map<string, Want>();
  looks.forEach(({ csrc, height, priority, pin }, index) => {
    const slot = kinds[index] ?? 'tile';
    const key = `${slot} ${csrc}`;
    const known = wants.get(key);
    const want: Want = {
      source: csrc,
      slot,
      height: Math.max(wantedHeight(height), known?.height ?? 0),
      priority: Math.max(LAST_PRIORITY - clamp(priority), known?.priority ?? 0),
      ...(pin || known?.pinned === true ? { pinned: true } : {}),
    };
    wants.set(key, want);
  });
  for (const source of sounds)
    wants.set(`sound ${source}`, { source, slot: 'screen_audio', priority: LAST_PRIORITY });
  // In an order that does not depend on which view was opened first: the same wishes are the same text.
  const important = (want: Want): number => (want.pinned === true ? 1_000 : 0) + (want.priority ?? 0);
  return [...wants.values()]
    .sort((a, b) => important(b) - important(a) || a.source - b.source || a.slot.localeCompare(b.slot))
    .slice(0, MAX_WANTS);
}

function clamp(priority: number): number {
  return Math.min(Math.max(Math.round(priority), 0), LAST_PRIORITY);
}
