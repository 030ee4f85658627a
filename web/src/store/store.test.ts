import { describe, expect, it } from 'vitest';
import type { Broadcast, ChatMessage, PlayerStats, TrackStats } from '../../sdk';
import { applyState, merge, useCatalogue } from './catalogue';
import { invitationOf } from './guest';
import { addLine, type ChatLine } from './room';
import { qualityOf } from './watch';

const BROADCAST: Broadcast = {
  id: 7,
  name: 'a',
  description: 'b',
  status: 'STREAMING',
  viewer_count: 1,
  started_at: null,
  ended_at: null,
  created_at: '2026-01-01T00:00:00Z',
  modified_at: '2026-01-01T00:00:00Z',
};

function message(seq: number, at = seq): ChatMessage {
  return { type: 'message', seq, at, from: 'par_1', name: '', host: false, text: String(seq) };
}

describe('addLine', () => {
  it('adds each message once, also when history comes again', () => {
    let lines: ChatLine[] = [];
    for (const seq of [1, 2, 3, 1, 2, 3, 4]) lines = addLine(lines, message(seq));
    expect(lines.map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
  });

  it('takes the messages of a server that counts anew', () => {
    const lines = addLine([message(5, 50)], message(1, 60));
    expect(lines.map(({ seq }) => seq)).toEqual([5, 1]);
  });

  it('keeps a bounded number of lines', () => {
    let lines: ChatLine[] = [];
    for (let seq = 0; seq < 400; seq += 1) lines = addLine(lines, message(seq));
    expect(lines).toHaveLength(300);
    expect(lines[0]?.seq).toBe(100);
  });
});

describe('merge', () => {
  it('takes what signaling tells and keeps the rest', () => {
    expect(merge(BROADCAST, { id: 7, viewer_count: 9, name: 'new' })).toEqual({
      ...BROADCAST,
      viewer_count: 9,
      name: 'new',
    });
  });

  it('lets no late word reopen a closed broadcast', () => {
    const closed: Broadcast = { ...BROADCAST, status: 'CLOSED' };
    expect(merge(closed, { id: 7, viewer_count: 0, status: 'STREAMING' }).status).toBe('CLOSED');
  });
});

describe('applyState', () => {
  it('changes only the row it is about', () => {
    const other = { ...BROADCAST, id: 8 };
    useCatalogue.setState({ byId: { 7: BROADCAST, 8: other }, order: [8, 7], phase: 'ready' });
    applyState({ id: 7, viewer_count: 5 });
    const { byId, order } = useCatalogue.getState();
    expect(byId[7]?.viewer_count).toBe(5);
    expect(byId[8]).toBe(other);
    expect(order).toEqual([8, 7]);
  });
});

describe('qualityOf', () => {
  const track: TrackStats = {
    source: 'camera',
    rid: null,
    active: true,
    codec: 'VP8',
    kbps: 900,
    packets: 90,
    width: 640,
    height: 360,
    fps: 30,
    frames: 30,
    limitation: null,
    freezes: 0,
  };
  const stats = (change: Partial<PlayerStats>, ...tracks: TrackStats[]): PlayerStats => ({
    kbps: 900,
    lossPercent: 0,
    rttMs: 10,
    relayed: false,
    availableKbps: null,
    latencyMs: null,
    tracks: tracks.length > 0 ? tracks : [track],
    ...change,
  });

  it('judges by loss, freezes and round trip', () => {
    expect(qualityOf(stats({}), null)).toBe('good');
    expect(qualityOf(stats({ lossPercent: 3 }), null)).toBe('fair');
    expect(qualityOf(stats({ lossPercent: 12 }), null)).toBe('poor');
    expect(qualityOf(stats({ rttMs: 500 }), null)).toBe('fair');
    expect(qualityOf(stats({}, { ...track, freezes: 2 }), stats({}))).toBe('fair');
  });

  it('says nothing where nothing arrives', () => {
    expect(qualityOf(null, null)).toBeNull();
    expect(qualityOf(stats({}, { ...track, packets: 0 }), null)).toBeNull();
  });
});

describe('invitationOf', () => {
  it('reads the token of a link', () => {
    expect(invitationOf('#token=abc')).toBe('abc');
    expect(invitationOf('')).toBeNull();
    expect(invitationOf('#token=')).toBeNull();
    expect(invitationOf('#other=1')).toBeNull();
  });
});
