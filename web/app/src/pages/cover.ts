import { between, duration } from '../lib/format';
import { linkWords } from '../lib/words';
import { isCodecRefused, isSoundOnly, isTooSlow, type WatchState } from '../store/watch';
import { t } from '../texts';

/** What the stage says while it has no picture. */
export interface Cover {
  kind: string;
  title: string;
  hint?: string;
  busy?: boolean;
  retry?: boolean;
}

/** What covers the stage; nothing where a picture is to be seen. */
export function cover(state: WatchState, lost: boolean): Cover | null {
  const { broadcast, link, failure, active, undecodable } = state;
  const picture = active.camera === true || active.screen === true;
  if (broadcast?.status === 'CLOSED') {
    const lasted = between(broadcast.started_at, broadcast.ended_at);
    const hint = lasted === null ? t.stateEndedNeverHint : t.stateEndedHint(duration(lasted));
    return { kind: 'ended', title: t.stateEndedTitle, hint };
  }
  if (undecodable !== null) {
    return { kind: 'codec', title: t.stateCodecTitle, hint: t.stateCodecHint(undecodable) };
  }
  if (link === 'failed' && failure === 'codec') {
    return { kind: 'codec', title: t.stateCodecTitle, hint: t.stateCodecUnknownHint };
  }
  if (link === 'failed') {
    return { kind: 'failed', title: t.stateErrorTitle, hint: linkWords(failure ?? 'server'), retry: true };
  }
  if (lost) return { kind: 'lost', title: t.stateLostTitle, hint: t.stateLostHint, busy: true };
  if (link === 'waiting' && broadcast?.status === 'READY') {
    return { kind: 'not-started', title: t.stateNotStartedTitle, hint: t.stateNotStartedHint, busy: true };
  }
  if (link === 'waiting') return { kind: 'waiting', title: t.stateWaitingMedia, busy: true };
  if (link === 'reconnecting') {
    const hint = failure === null ? t.stateReconnectingHint : failureHint(failure);
    return { kind: 'reconnecting', title: t.stateReconnecting, hint, busy: true };
  }
  if (link !== 'connected') return { kind: 'connecting', title: t.stateConnecting, busy: true };
  if (isSoundOnly(state)) {
    return { kind: 'sound-only', title: t.stateSoundOnly, hint: t.stateSoundOnlyHint };
  }
  if (picture) return null;
  if (isCodecRefused(state)) {
    const hint = active.microphone === true ? t.stateCodecSoundHint : t.stateCodecUnknownHint;
    return { kind: 'codec', title: t.stateCodecTitle, hint };
  }
  if (isTooSlow(state)) return { kind: 'slow-line', title: t.stateSlowLine, hint: t.stateSlowLineHint };
  if (active.microphone === true) return { kind: 'audio-only', title: t.stateAudioOnly };
  return { kind: 'waiting', title: t.stateWaitingMedia, busy: true };
}

/** A lost path is repaired without anyone's help; anything else is worth naming. */
function failureHint(failure: NonNullable<WatchState['failure']>): string {
  return failure === 'ice' ? t.stateReconnectingHint : linkWords(failure);
}
