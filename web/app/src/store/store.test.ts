import { describe, expect, it, vi } from 'vitest';
import {
  addLine,
  type Broadcast,
  type BroadcastState,
  type ChatLine,
  type ChatMessage,
  type PlayerStats,
  type TrackStats,
} from '@madang/sdk';
import { gather, useCatalogue } from './catalogue';
import { applyStates, merge, type Rows } from './deltas';
import { invitationOf } from './guest';
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
    let lines: readonly ChatLine[] = [];
    for (const seq of [1, 2, 3, 1, 2, 3, 4]) lines = addLine(lines, message(seq));
    expect(lines.map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
  });

  it('stays the same where nothing is new, so that nothing lights up', () => {
    const lines = addLine(addLine([], message(1)), message(2));
    expect(addLine(lines, message(1))).toBe(lines);
    const named = addLine(lines, { ...message(3), id: 'a'.repeat(32) });
    expect(addLine(named, { ...message(9), id: 'a'.repeat(32) })).toBe(named);
  });

  it('takes the messages of a server that counts anew', () => {
    const lines = addLine([message(5, 50)], message(1, 60));
    expect(lines.map(({ seq }) => seq)).toEqual([5, 1]);
  });

  it('keeps a bounded number of lines', () => {
    let lines: readonly ChatLine[] = [];
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

describe('merge of times', () => {
  it('takes the times of the end from the event', () => {
    const end = { id: 7, viewer_count: 0, status: 'CLOSED', ended_at: '2026-01-01T01:00:00Z' } as const;
    expect(merge(BROADCAST, end)).toMatchObject({ status: 'CLOSED', ended_at: '2026-01-01T01:00:00Z' });
  });

  it('takes only the count of a word that is older than the row', () => {
    const row = { ...BROADCAST, modified_at: '2026-01-01T00:00:05.5Z' };
    const late = { id: 7, viewer_count: 3, name: 'old', modified_at: '2026-01-01T00:00:05Z' };
    expect(merge(row, late)).toEqual({ ...row, viewer_count: 3 });
  });
});

describe('applyStates', () => {
  const row = (id: number, change: Partial<Broadcast> = {}): Broadcast => ({ ...BROADCAST, id, ...change });
  const rows = (list: Broadcast[], change: Partial<Rows> = {}): Rows => ({
    byId: Object.fromEntries(list.map((broadcast) => [broadcast.id, broadcast])),
    order: list.map(({ id }) => id),
    featured: null,
    query: '',
    filter: 'all',
    sort: 'newest',
    ...change,
  });
  const told = (id: number, change: Partial<BroadcastState> = {}): BroadcastState => ({
    ...{ id, viewer_count: 0, status: 'READY', name: 'new', description: '' },
    ...{ created_at: '2026-01-02T00:00:00Z', modified_at: '2026-01-02T00:00:00Z' },
    ...change,
  });

  it('changes only the row it is about', () => {
    const before = rows([row(8), row(7)]);
    const { byId, order } = applyStates(before, [{ id: 7, viewer_count: 5 }], 60);
    expect(byId[7]?.viewer_count).toBe(5);
    expect(byId[8]).toBe(before.byId[8]);
    expect(order).toEqual([8, 7]);
  });

  it('adds what is new where it belongs, and keeps a page', () => {
    const before = rows([row(8), row(6), row(5)]);
    const after = applyStates(before, [told(9), told(7), { id: 4, viewer_count: 1 }], 4);
    expect(after.order).toEqual([9, 8, 7, 6]);
    expect(Object.keys(after.byId).map(Number)).toEqual([6, 7, 8, 9]);
    expect(after.byId[9]).toMatchObject({ name: 'new', started_at: null });
  });

  it('takes out what the question no longer finds, and what is deleted', () => {
    const before = rows([row(8), row(7)], { filter: 'STREAMING' });
    const closed = told(8, { status: 'CLOSED' });
    expect(applyStates(before, [closed], 60).order).toEqual([7]);
    expect(applyStates(before, [told(9), told(10, { status: 'STREAMING' })], 60).order).toEqual([10, 8, 7]);
    const deleted = told(8, { status: 'CLOSED', deleted: true });
    const after = applyStates({ ...before, filter: 'all' }, [deleted], 60);
    expect([after.order, after.byId[8]]).toEqual([[7], undefined]);
  });

  it('searches new rows by words and leaves listed ones to the service', () => {
    const before = rows([row(7, { name: 'found by the service' })], { query: ' Garden NOON' });
    const states = [told(8, { name: 'A garden at noon' }), told(9, { name: 'A garden' }), told(7)];
    expect(applyStates(before, states, 60).order).toEqual([8, 7]);
  });

  it('sorts by viewers and features a live one until it ends', () => {
    const before = rows([row(8, { viewer_count: 4 }), row(7)], { sort: 'viewers', featured: 8 });
    const busy = applyStates(before, [{ id: 7, viewer_count: 9 }], 60);
    expect([busy.order, busy.featured]).toEqual([[7, 8], 8]);
    const over = applyStates(busy, [told(8, { status: 'CLOSED' })], 60);
    expect(over.featured).toBe(7);
  });
});

describe('gather', () => {
  it('shows a busy catalogue at a steady pace, without asking for it', () => {
    vi.useFakeTimers();
    const fetched = vi.spyOn(globalThis, 'fetch');
    useCatalogue.setState({ byId: { 7: BROADCAST }, order: [7], phase: 'ready' });
    let drawn = 0;
    const stop = useCatalogue.subscribe(() => (drawn += 1));
    for (let n = 1; n <= 1_000; n += 1) {
      gather({ id: 7, viewer_count: n });
      gather({
        ...BROADCAST,
        id: 1_000 + n,
        started_at: '2026-01-01T00:00:00Z',
        ended_at: '2026-01-01T00:00:00Z',
      });
      vi.advanceTimersByTime(10);
    }
    vi.advanceTimersByTime(250);
    expect(useCatalogue.getState().byId[7]?.viewer_count).toBe(1_000);
    expect(useCatalogue.getState().order).toHaveLength(60);
    expect(useCatalogue.getState().order[0]).toBe(2_000);
    // Ten seconds: forty drawings, neither two thousand nor none, and no request.
    expect(drawn).toBeGreaterThan(35);
    expect(drawn).toBeLessThan(45);
    expect(fetched).not.toHaveBeenCalled();
    stop();
    vi.useRealTimers();
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
    heard: true,
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
