import { thisMachine } from '../simulcast.js';
import type { SlotKind } from '../types.js';
import type { JoinOptions } from './types.js';

/** How many slots of each kind there are. */
export type Layout = Readonly<Record<SlotKind, number>>;

/** What a computer's page shows at a time. */
const COMPUTER: Layout = { tile: 12, stage: 1, screen: 2, voice: 4, screen_audio: 1 };
/** What a phone shows and decodes at a time. */
const PHONE: Layout = { tile: 6, stage: 1, screen: 1, voice: 3, screen_audio: 1 };
/** More slots are refused. */
const MAX_SLOTS = 24;

/** The slots of this page: those of its machine, but for what was asked for. Tiles give way to what is too much. */
export function layoutOf(receive: JoinOptions['receive'] = {}, { phone } = thisMachine()): Layout {
  const usual = phone ? PHONE : COMPUTER;
  const count = (asked: number | undefined, otherwise: number): number =>
    Math.min(Math.max(Math.floor(asked ?? otherwise), 0), MAX_SLOTS);
  const stage = count(receive.stages, usual.stage);
  const screen = count(receive.screens, usual.screen);
  const voice = count(receive.voices, usual.voice);
  const tile = count(receive.tiles, usual.tile);
  const rest = MAX_SLOTS - stage - screen - voice - usual.screen_audio;
  return { tile: Math.max(Math.min(tile, rest), 0), stage, screen, voice, screen_audio: usual.screen_audio };
}
