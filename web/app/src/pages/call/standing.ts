import type { CallFailure, RoomState, SignalingState } from '@madang/sdk';
import { t } from '../../texts';

/** What is known of how this page stands. */
export interface Facts {
  call: RoomState['call'];
  failure: CallFailure | null;
  signaling: SignalingState;
  /** The device says that it has a network. */
  online: boolean;
  /** For how long signaling has been away, in milliseconds: what is over in a moment is not worth a word. */
  signalingAwayMs: number;
}

/** What a banner says over the call; null where all is well. */
export interface Standing {
  kind: 'joining' | 'offline' | 'media-away' | 'all-away' | 'signaling-away';
  text: string;
  /** What makes it likelier to succeed, where something is known. */
  hint: string | null;
}

/** Signaling comes back within this time after a restart of the server, and nobody has missed it. */
export const SIGNALING_GRACE_MS = 2_500;

/** What is the matter, and what goes on all the same. One row for each thing that may be the matter. */
export function standing(facts: Facts): Standing | null {
  const { call, failure, signaling, online, signalingAwayMs } = facts;
  // A page that is over says so itself.
  if (call === 'failed' || call === 'closed') return null;
  if (call !== 'connected') {
    if (!online) return { kind: 'offline', text: t.roomOffline, hint: t.roomOfflineHint };
    const hint = failureHint(failure);
    if (call === 'connecting') return { kind: 'joining', text: t.roomJoining, hint };
    return signaling === 'connected'
      ? { kind: 'media-away', text: t.roomMediaAway, hint: hint ?? t.roomMediaAwayHint }
      : { kind: 'all-away', text: t.roomAllAway, hint: hint ?? t.roomAllAwayHint };
  }
  if (signaling === 'connected' || signalingAwayMs < SIGNALING_GRACE_MS) return null;
  return { kind: 'signaling-away', text: t.roomSignalingAway, hint: t.roomSignalingAwayHint };
}

/** Only what the person can do something about. */
function failureHint(failure: CallFailure | null): string | null {
  if (failure === 'media') return t.callMedia;
  return failure === 'network' ? t.callNetwork : null;
}
