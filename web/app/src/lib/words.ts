import type { CaptureFailure, LinkFailure } from '@madang/sdk';
import type { StudioProblem } from '../store/studio';
import { t } from '../texts';

const LINK: Readonly<Record<LinkFailure, string>> = {
  unauthorized: t.failureUnauthorized,
  'not-found': t.failureNotFound,
  ended: t.failureEnded,
  codec: t.failureCodec,
  ice: t.failureIce,
  dtls: t.failureDtls,
  full: t.failureFull,
  network: t.failureNetwork,
  server: t.failureServer,
};

/** Why a link failed and what to do. */
export function linkWords(failure: LinkFailure): string {
  return LINK[failure];
}

/** What stands in the way of a broadcast and what to do. */
export function problemWords(problem: StudioProblem): string {
  switch (problem.kind) {
    case 'link':
      return linkWords(problem.failure);
    case 'other-tab':
      return t.otherTab;
    case 'too-many':
      return t.failureTooMany;
    case 'key':
      return t.failureKey;
    case 'nothing':
      return t.nothingToSend;
  }
}

/** Why a device gives nothing and what to do. */
export function captureWords(kind: 'camera' | 'microphone' | 'screen', failure: CaptureFailure): string {
  if (failure === 'insecure') return t.captureInsecure;
  if (failure === 'unsupported') return t.captureUnsupported;
  if (kind === 'screen') return t.captureScreenFailed;
  const camera = kind === 'camera';
  switch (failure) {
    case 'denied':
    case 'cancelled':
      return camera ? t.captureDeniedCamera : t.captureDeniedMicrophone;
    case 'missing':
      return camera ? t.captureMissingCamera : t.captureMissingMicrophone;
    case 'busy':
      return camera ? t.captureBusyCamera : t.captureBusyMicrophone;
    default:
      return t.captureUnknown;
  }
}
