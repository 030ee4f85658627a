import { describe, expect, it, vi } from 'vitest';
import { type Broadcast, type BroadcastState, type PlayerStats, type TrackStats } from '@madang/sdk';
import { gather, useCatalogue } from './catalogue';
import { applyStates, belongs, merge, NO_LIST, order, type Rows } from './deltas';
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
  const rows = (live: Broadcast[], change: Partial<Rows> = {}): Rows => ({
    byId: Object.fromEntries(live.map((broadcast) => [broadcast.id, broadcast])),
    lists: { live: { ids: live.map(({ id }) => id), next: null }, upcoming: NO_LIST, ended: NO_LIST },
    featured: null,
    query: '',
    ...change,
  });
  const told = (id: number, change: Partial<BroadcastState> = {}): BroadcastState => ({
    ...{ id, viewer_count: 0, status: 'READY', name: 'new', description: '' },
    ...{ created_at: '2026-01-02T00:00:00Z', modified_at: '2026-01-02T00:00:00Z' },
    ...change,
  });

  const NOW = Date.parse('2026-01-02T00:00:00Z');
  const live = (id: number, viewers = 0): BroadcastState =>
    told(id, { status: 'STREAMING', viewer_count: viewers });

  it('changes only the row it is about, and moves none that somebody looks at', () => {
    const before = rows([row(8), row(7)]);
    const { byId, lists } = applyStates(before, [{ id: 7, viewer_count: 5 }], NOW);
    expect(byId[7]?.viewer_count).toBe(5);
    expect(byId[8]).toBe(before.byId[8]);
    expect(lists.live).toBe(before.lists.live);
  });

  it('adds what is new where it belongs, and behind what is loaded nothing', () => {
    const list = [row(8, { viewer_count: 9 }), row(6, { viewer_count: 3 })];
    const whole = applyStates(rows(list), [live(9, 5), live(10, 1)], NOW);
    expect(whole.lists.live.ids).toEqual([8, 9, 6, 10]);
    expect(whole.byId[9]).toMatchObject({ name: 'new', started_at: null });
    const part = rows(list);
    const lists = { ...part.lists, live: { ...part.lists.live, next: '3-6' } };
    expect(applyStates({ ...part, lists }, [live(9, 5), live(10, 1)], NOW).lists.live.ids).toEqual([8, 9, 6]);
  });

  it('moves a broadcast from list to list, and a deleted one out of all', () => {
    const soon = told(5, { planned_at: '2026-01-02T01:00:00Z' });
    const sooner = told(6, { planned_at: '2026-01-02T00:30:00Z' });
    const planned = applyStates(rows([]), [soon, sooner, told(4)], NOW);
    // What nobody has planned is in no list.
    expect([planned.lists.upcoming.ids, planned.lists.live.ids]).toEqual([[6, 5], []]);
    const moved = { ...soon, planned_at: '2026-01-02T00:10:00Z', modified_at: '2026-01-02T00:00:01Z' };
    expect(applyStates(planned, [moved], NOW).lists.upcoming.ids).toEqual([5, 6]);
    const dropped: BroadcastState = { ...told(5), modified_at: '2026-01-02T00:00:01Z' };
    expect(applyStates(planned, [dropped], NOW).lists.upcoming.ids).toEqual([6]);
    const late = applyStates(rows([]), [told(3, { planned_at: '2026-01-01T22:00:00Z' })], NOW);
    expect(late.lists.upcoming.ids).toEqual([]);
    const begun = applyStates(planned, [live(6)], NOW);
    expect([begun.lists.upcoming.ids, begun.lists.live.ids]).toEqual([[5], [6]]);
    const over = applyStates(begun, [told(6, { status: 'CLOSED' })], NOW);
    expect([over.lists.live.ids, over.lists.ended.ids]).toEqual([[], [6]]);
    const gone = applyStates(over, [told(6, { status: 'CLOSED', deleted: true })], NOW);
    expect([gone.lists.ended.ids, gone.byId[6]]).toEqual([[], undefined]);
  });

  it('searches new rows as the service does and leaves listed ones to the service', () => {
    const before = rows([row(7, { name: 'found by the service' })], { query: ' Garden AT' });
    const states = [
      { ...live(8), name: 'A garden at noon' },
      { ...live(9), name: 'At a garden' },
      { ...live(10), description: 'my garden at night' },
      live(7),
    ];
    expect(applyStates(before, states, NOW).lists.live.ids).toEqual([10, 8, 7]);
  });

  it('features a live one until it ends, and then the one with the most viewers', () => {
    const before = rows([row(8, { viewer_count: 4 }), row(7)], { featured: 8 });
    const busy = applyStates(before, [{ id: 7, viewer_count: 9 }, live(6, 2)], NOW);
    expect(busy.featured).toBe(8);
    const over = applyStates(busy, [told(8, { status: 'CLOSED' })], NOW);
    expect(over.featured).toBe(7);
  });

  it('has in the end the same rows in the lists in whatever order their last words come', () => {
    const dice = Array.from({ length: 40 }, (_, seed) => () => {
      // xorshift: a sequence of its own for each seed.
      let state = seed + 1;
      return (): number => {
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        return (state >>> 0) / 2 ** 32;
      };
    });
    for (const make of dice) {
      const random = make();
      const statuses = ['READY', 'STREAMING', 'CLOSED'] as const;
      const states = Array.from({ length: 12 }, (_, at) =>
        told(at + 1, {
          status: statuses[Math.floor(random() * 3)] ?? 'READY',
          viewer_count: Math.floor(random() * 4),
          ...(random() < 0.5 ? { planned_at: new Date(NOW + random() * 7_200_000).toISOString() } : {}),
        }),
      );
      const shuffled = [...states].sort(() => random() - 0.5);
      const members = (list: readonly BroadcastState[]): unknown => {
        let after = rows([]);
        for (const state of list) after = applyStates(after, [state], NOW);
        for (const name of ['live', 'upcoming', 'ended'] as const) {
          const { ids } = after.lists[name];
          const right = [...ids].sort((one, other) => order(name, after.byId[one], after.byId[other]));
          expect(ids).toEqual(right);
          for (const id of ids) {
            const broadcast = after.byId[id];
            expect(broadcast !== undefined && belongs(name, broadcast, NOW)).toBe(true);
          }
        }
        return after.lists;
      };
      expect(members(shuffled)).toEqual(members(states));
    }
  });
});

describe('gather', () => {
  it('shows a busy catalogue at a steady pace, without asking for it', () => {
    vi.useFakeTimers();
    const fetched = vi.spyOn(globalThis, 'fetch');
    const lists = { live: { ids: [7], next: null }, upcoming: NO_LIST, ended: NO_LIST };
    useCatalogue.setState({ byId: { 7: BROADCAST }, lists, phase: 'ready' });
    let drawn = 0;
    const stop = useCatalogue.subscribe(() => (drawn += 1));
    for (let n = 1; n <= 1_500; n += 1) {
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
    expect(useCatalogue.getState().byId[7]?.viewer_count).toBe(1_500);
    expect(useCatalogue.getState().lists.live.ids).toHaveLength(1_000);
    // Fifteen seconds: sixty drawings, neither three thousand nor none, and no request.
    expect(drawn).toBeGreaterThan(50);
    expect(drawn).toBeLessThan(70);
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
