import { create } from 'zustand';
import {
  type Broadcast,
  type CaptureFailure,
  type Known,
  type LinkFailure,
  type LinkStats,
  NOTHING_KNOWN,
} from '@madang/sdk';
import type { Limitation } from './limits';

/** Where a broadcast of this tab stands. */
export type StudioPhase = 'setup' | 'starting' | 'live' | 'ending' | 'ended';

/** What a person can do something about. */
export type StudioProblem =
  | { kind: 'link'; failure: LinkFailure }
  | { kind: 'other-tab' }
  | { kind: 'too-many' }
  | { kind: 'key' }
  | { kind: 'nothing' };

/** A device of the studio. */
export interface Device {
  /** Null while it is off or could not be opened. */
  track: MediaStreamTrack | null;
  /** What the person wants: muted microphones and cameras that are off are not wanted. */
  on: boolean;
  opening: boolean;
  /** The chosen device; empty means the browser's default. */
  deviceId: string;
  failure: CaptureFailure | null;
}

/** The studio. */
export interface StudioState {
  phase: StudioPhase;
  /** Going on after a reload. */
  resuming: boolean;
  name: string;
  description: string;
  broadcast: Broadcast | null;
  watchUrl: string;
  /** What is known of the way to the server. */
  known: Known;
  problem: StudioProblem | null;
  /** Null, or the creator token field is shown with this in it. */
  creatorToken: string | null;
  camera: Device;
  microphone: Device;
  screen: { track: MediaStreamTrack | null; audio: MediaStreamTrack | null; failure: CaptureFailure | null };
  devices: readonly MediaDeviceInfo[];
  stats: LinkStats | null;
  /** What has limited the picture for a while. */
  limited: Limitation;
  /** Whether the browser gives camera and microphone without asking; null where it does not say. */
  granted: boolean | null;
  /** Unix milliseconds of going live in this tab. */
  liveSince: number | null;
  liveForMs: number;
  peakViewers: number;
}

const DEVICE: Device = { track: null, on: true, opening: false, deviceId: '', failure: null };

/** A studio before anything happened. */
export const EMPTY_STUDIO: StudioState = {
  phase: 'setup',
  resuming: false,
  name: '',
  description: '',
  broadcast: null,
  watchUrl: '',
  known: NOTHING_KNOWN,
  problem: null,
  creatorToken: null,
  camera: DEVICE,
  microphone: DEVICE,
  screen: { track: null, audio: null, failure: null },
  devices: [],
  stats: null,
  limited: null,
  granted: null,
  liveSince: null,
  liveForMs: 0,
  peakViewers: 0,
};

export const useStudio = create<StudioState>(() => EMPTY_STUDIO);

/** Whether this tab sends, or is about to. */
export function isOnAir({ phase }: StudioState): boolean {
  return phase === 'starting' || phase === 'live' || phase === 'ending';
}
