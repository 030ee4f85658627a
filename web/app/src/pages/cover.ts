import type { Known, Situation } from '@madang/sdk';
import { viewing } from '@madang/sdk';
import { duration } from '../lib/format';
import { linkWords } from '../lib/words';
import { t } from '../texts';

/** What the stage says while it has no picture. */
export interface Cover {
  kind: Situation['kind'];
  title: string;
  hint?: string;
  busy?: boolean;
  retry?: boolean;
}

/** What covers the stage; nothing where a picture is to be seen. `hadPicture`: one has been seen before. */
export function cover(known: Known, hadPicture = false): Cover | null {
  const situation = viewing(known);
  // What was there and does not come any more is not waited for as at the beginning.
  if (situation.kind === 'waiting' && hadPicture)
    return { kind: 'waiting', title: t.stateStalledTitle, hint: t.stateStalledHint, busy: true };
  return situation.kind === 'shown' ? null : { kind: situation.kind, ...words(situation) };
}

/** The table of words: one entry for each thing that may be the matter. */
function words(situation: Exclude<Situation, { kind: 'shown' }>): Omit<Cover, 'kind'> {
  switch (situation.kind) {
    case 'ended':
      return { title: t.stateEndedTitle, ...hintOf(lastedWords(situation.lastedMs)) };
    case 'codec':
      return { title: t.stateCodecTitle, hint: codecWords(situation) };
    case 'failed':
      return { title: t.stateErrorTitle, hint: linkWords(situation.failure), retry: true };
    case 'offline':
      return { title: t.stateOfflineTitle, hint: t.stateOfflineHint, busy: true };
    case 'server-away':
      return situation.givenUp
        ? { title: t.stateServerAwayTitle, hint: t.stateServerAwayGivenUpHint, retry: true }
        : { title: t.stateServerAwayTitle, hint: t.stateServerAwayHint, busy: true };
    case 'connecting':
      return { title: t.stateConnecting, busy: true };
    case 'reconnecting':
      return { title: t.stateReconnecting, hint: repairWords(situation), busy: true };
    case 'not-started':
      return { title: t.stateNotStartedTitle, hint: t.stateNotStartedHint, busy: true };
    case 'publisher-lost':
      return { title: t.stateLostTitle, hint: t.stateLostHint, busy: true };
    case 'waiting':
      return { title: t.stateWaitingMedia, busy: true };
    case 'sound-only':
      return { title: t.stateSoundOnly, hint: t.stateSoundOnlyHint };
    case 'slow-line':
      return { title: t.stateSlowLine, hint: t.stateSlowLineHint };
    case 'camera-off':
      return { title: t.stateAudioOnly };
    case 'all-off':
      return { title: t.stateAllOff };
  }
}

/** Nothing is said of how long it was live where nobody knows. */
function lastedWords(lastedMs: number | null): string | null {
  if (lastedMs === null) return null;
  return lastedMs === 0 ? t.stateEndedNeverHint : t.stateEndedHint(duration(lastedMs));
}

function codecWords({ codec, sound }: Extract<Situation, { kind: 'codec' }>): string {
  if (codec !== null) return t.stateCodecHint(codec);
  return sound ? t.stateCodecSoundHint : t.stateCodecUnknownHint;
}

/** A lost path is repaired without anyone's help; anything else is worth naming. */
function repairWords({ failure }: Extract<Situation, { kind: 'reconnecting' }>): string {
  return failure === null || failure === 'ice' ? t.stateReconnectingHint : linkWords(failure);
}

function hintOf(hint: string | null): { hint?: string } {
  return hint === null ? {} : { hint };
}
