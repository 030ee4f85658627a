import { describe, expect, it } from 'vitest';
import type { Layers, Obstacle } from '@madang/sdk';
import { useWatch, type WatchState } from '../store/watch';
import { t } from '../texts';
import { cover } from './cover';

/** A viewer who is connected, to a server that says this of the camera. */
function viewer(obstacle: Obstacle | null, more: Partial<WatchState> = {}): WatchState {
  const camera = {
    mediaId: '1',
    source: 'camera' as const,
    paused: false,
    wanted: {},
    current: null,
    ...(obstacle === null ? {} : { obstacle }),
    encodings: [{ active: true, bitrate: 1 }],
  };
  const layers: Layers = { media: [camera] };
  return { ...useWatch.getInitialState(), link: 'connected', layers, ...more };
}

describe('what covers the stage', () => {
  it('says that the publisher sends what this browser cannot decode, and whether sound goes on', () => {
    const codec = { kind: 'codec', title: t.stateCodecTitle };
    expect(cover(viewer('codec'), false)).toEqual({ ...codec, hint: t.stateCodecUnknownHint });
    const sound = viewer('codec', { active: { microphone: true, camera: false } });
    expect(cover(sound, false)).toEqual({ ...codec, hint: t.stateCodecSoundHint });
  });

  it('is nothing while another picture is to be seen', () => {
    expect(cover(viewer('codec', { active: { screen: true } }), false)).toBeNull();
  });

  it('says what else is in the way', () => {
    expect(cover(viewer('line'), false)?.kind).toBe('slow-line');
    expect(cover(viewer(null), false)?.kind).toBe('waiting');
    expect(cover(viewer(null, { active: { microphone: true } }), false)?.kind).toBe('audio-only');
    expect(cover(viewer('codec', { link: 'reconnecting' }), false)?.kind).toBe('reconnecting');
    expect(cover(viewer('codec'), true)?.kind).toBe('lost');
  });
});
