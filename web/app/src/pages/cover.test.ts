import { type Fact, type Known, type Layers, learn, NOTHING_KNOWN, type Obstacle } from '@madang/sdk';
import { describe, expect, it } from 'vitest';
import { t } from '../texts';
import { cover } from './cover';

/** A viewer who is connected, to a server that says this of the camera, and then learns more. */
function viewer(obstacle: Obstacle | null, ...more: Fact[]): Known {
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
  const first: Fact[] = [
    { of: 'link', state: 'connected', failure: null },
    { of: 'layers', layers },
  ];
  return [...first, ...more].reduce(learn, NOTHING_KNOWN);
}

const measured = (picture: boolean, sound: boolean): Fact => ({ of: 'measured', picture, sound });

describe('what covers the stage', () => {
  it('says that the publisher sends what this browser cannot decode, and whether sound goes on', () => {
    const codec = { kind: 'codec', title: t.stateCodecTitle };
    expect(cover(viewer('codec'))).toEqual({ ...codec, hint: t.stateCodecUnknownHint });
    expect(cover(viewer('codec', measured(false, true)))).toEqual({ ...codec, hint: t.stateCodecSoundHint });
  });

  it('is nothing while another picture is to be seen', () => {
    expect(cover(viewer('codec', measured(true, false)))).toBeNull();
  });

  it('says what else is in the way', () => {
    expect(cover(viewer('line'))?.kind).toBe('slow-line');
    expect(cover(viewer(null))?.kind).toBe('waiting');
    const lost: Fact = { of: 'link', state: 'reconnecting', failure: 'ice' };
    expect(cover(viewer('codec', lost))).toMatchObject({
      kind: 'reconnecting',
      hint: t.stateReconnectingHint,
    });
    const full: Fact = { of: 'link', state: 'reconnecting', failure: 'full' };
    expect(cover(viewer(null, full))?.hint).toBe(t.failureFull);
    const away: Fact = { of: 'link', state: 'reconnecting', failure: 'network' };
    expect(cover(viewer(null, away))).toMatchObject({ kind: 'server-away', busy: true });
    const givenUp: Fact = { of: 'link', state: 'failed', failure: 'network' };
    expect(cover(viewer(null, away, givenUp))).toMatchObject({ kind: 'server-away', retry: true });
  });

  it('says how long it was only where that is known', () => {
    const told: Fact = { of: 'told', state: { id: 7, viewer_count: 0, status: 'CLOSED' } };
    expect(cover(viewer(null, told))).toEqual({ kind: 'ended', title: t.stateEndedTitle });
    const times = {
      status: 'CLOSED',
      started_at: '2026-01-01T00:00:00Z',
      ended_at: '2026-01-01T00:01:00Z',
    } as const;
    expect(cover(viewer(null, { of: 'asked', broadcast: times }))?.hint).toBe(t.stateEndedHint('1:00'));
    const never: Fact = { of: 'asked', broadcast: { ...times, started_at: null } };
    expect(cover(learn(NOTHING_KNOWN, never))?.hint).toBe(t.stateEndedNeverHint);
  });
});
