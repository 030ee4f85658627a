import { describe, expect, it } from 'vitest';
import { dice } from './dice.test.util.js';
import { type Fact, type Known, learn, listing, NOTHING_KNOWN, sending, viewing } from './known.js';
import type { Layers } from './layers.js';
import type { LinkFailure, LinkState } from './peer-link.js';
import type { BroadcastState, Status, TrackInfo } from './types.js';

const STARTED = '2026-01-01T00:00:00Z';
const ENDED = '2026-01-01T00:01:00Z';

function told(change: Partial<BroadcastState>): Fact {
  return { of: 'told', state: { id: 7, viewer_count: 1, ...change } };
}

function sends(...sources: ('camera' | 'microphone')[]): TrackInfo[] {
  return (['camera', 'microphone'] as const).map((source) => ({
    ...{ id: source, owner: 'par_1', codec: 'VP8' },
    ...{ source, active: sources.includes(source) },
  }));
}

function layers(active: boolean, obstacle?: 'line'): Layers {
  const camera = { mediaId: '1', source: 'camera', paused: false, wanted: {}, current: null } as const;
  return { media: [{ ...camera, ...(obstacle ? { obstacle } : {}), encodings: [{ active, bitrate: 1 }] }] };
}

function link(state: LinkState, failure: LinkFailure | null = null): Fact {
  return { of: 'link', state, failure };
}

function after(...facts: Fact[]): Known {
  return facts.reduce(learn, NOTHING_KNOWN);
}

const measured = (picture: boolean, sound: boolean): Fact => ({ of: 'measured', picture, sound });
const asked = (status: Status, started_at: string | null = null, ended_at: string | null = null): Fact => ({
  of: 'asked',
  broadcast: { status, started_at, ended_at },
});
const here: Fact = { of: 'signaling', state: 'connected' };
const lost: Fact = { of: 'signaling', state: 'lost' };
const unanswered: Fact = { of: 'request', answered: false };

/** A viewer who sees and hears. */
const WATCHING = [
  asked('STREAMING', STARTED),
  here,
  told({ status: 'STREAMING', media: 'live', tracks: sends('camera', 'microphone') }),
  { of: 'tracks' } as const,
  link('connected'),
  measured(true, true),
];

describe('what is said to who watches', () => {
  it('follows a broadcast from before its start to its end', () => {
    const steps: [Fact, string][] = [
      [asked('READY'), 'connecting'],
      [link('connecting'), 'connecting'],
      [link('waiting', 'server'), 'not-started'],
      [told({ status: 'STREAMING', media: 'live' }), 'waiting'],
      [link('connected'), 'waiting'],
      [measured(true, true), 'shown'],
      [told({ status: 'STREAMING', media: 'lost' }), 'publisher-lost'],
      [told({ status: 'STREAMING', media: 'live' }), 'shown'],
      [told({ status: 'CLOSED', media: 'ended' }), 'ended'],
      [link('closed'), 'ended'],
    ];
    let known = after(here);
    for (const [fact, kind] of steps) {
      known = learn(known, fact);
      expect(viewing(known).kind, JSON.stringify(fact)).toBe(kind);
    }
    // Its times come late: until then nothing is said of how long it was.
    expect(viewing(known)).toEqual({ kind: 'ended', lastedMs: null });
    known = learn(known, told({ status: 'CLOSED', started_at: STARTED, ended_at: ENDED }));
    expect(viewing(known)).toEqual({ kind: 'ended', lastedMs: 60_000 });
    expect(viewing(after(asked('CLOSED', null, ENDED)))).toEqual({ kind: 'ended', lastedMs: 0 });
  });

  it('says that the camera is off only where somebody says so, and not in a reconnection', () => {
    const reconnecting = after(...WATCHING, link('reconnecting', 'ice'));
    expect(viewing(reconnecting)).toEqual({ kind: 'reconnecting', failure: 'ice' });
    // Sound comes first; the picture needs a keyframe.
    let known = after(...WATCHING, link('reconnecting', 'ice'), { of: 'tracks' }, link('connected'));
    for (let second = 0; second < 10; second += 1) {
      known = learn(known, measured(false, true));
      expect(viewing(known).kind).toBe('waiting');
    }
    expect(viewing(learn(known, told({ media: 'live', tracks: sends('microphone') }))).kind).toBe(
      'camera-off',
    );
    const silent = learn(learn(known, told({ media: 'live', tracks: sends() })), measured(false, false));
    expect(viewing(silent).kind).toBe('all-off');
    // Without signaling the server of the media says it.
    known = learn(known, lost);
    expect(viewing(known).kind).toBe('waiting');
    expect(viewing(learn(known, { of: 'layers', layers: layers(true) })).kind).toBe('waiting');
    known = learn(known, { of: 'layers', layers: layers(false) });
    expect(viewing(known).kind).toBe('camera-off');
    expect(viewing(learn(known, { of: 'choice', choice: 720 })).kind).toBe('waiting');
  });

  it('does not miss the picture of a publisher who is lost', () => {
    const away = after(...WATCHING, told({ status: 'STREAMING', media: 'lost' }));
    const missing = Array.from({ length: 10 }, () => measured(false, false)).reduce(learn, away);
    expect(viewing(missing).kind).toBe('publisher-lost');
    // Sound is back a moment before the camera, whoever says so.
    const back = learn(missing, told({ media: 'live', tracks: sends('microphone') }));
    expect(viewing(learn(back, measured(false, true))).kind).toBe('waiting');
    const layered = learn(learn(missing, lost), { of: 'layers', layers: layers(false) });
    expect(viewing(learn(layered, measured(false, true))).kind).toBe('waiting');
  });

  it('names the server that is away, not the picture', () => {
    const down = [lost, link('reconnecting', 'ice')];
    expect(viewing(after(...WATCHING, ...down)).kind).toBe('reconnecting');
    const away = after(...WATCHING, ...down, link('reconnecting', 'network'));
    expect(viewing(away)).toEqual({ kind: 'server-away', givenUp: false });
    expect(viewing(learn(away, link('failed', 'network')))).toEqual({ kind: 'server-away', givenUp: true });
    expect(viewing(learn(away, { of: 'network', online: false })).kind).toBe('offline');
    // It is back before its publisher is.
    const back = learn(away, link('waiting', 'server'));
    expect(viewing(back).kind).toBe('publisher-lost');
    expect(viewing(learn(back, here)).kind).toBe('publisher-lost');
  });

  it('lets no request that failed before speak for a path that is there', () => {
    const known = after(unanswered, ...WATCHING, unanswered);
    expect(viewing(known).kind).toBe('shown');
    expect(viewing(after(unanswered, ...WATCHING, link('reconnecting', 'ice'))).kind).toBe('reconnecting');
  });

  it('keeps the object where nothing has changed', () => {
    const known = after(...WATCHING);
    const again = WATCHING.filter(({ of }) => of !== 'tracks' && of !== 'signaling');
    for (const fact of again) expect(learn(known, fact), fact.of).toBe(known);
  });
});

describe('what is said to who sends, and of a list', () => {
  it('is live only with a path', () => {
    expect(sending(NOTHING_KNOWN)).toBe('starting');
    expect(sending(after(link('connecting')))).toBe('starting');
    const live = after(link('connected'));
    expect(sending(live)).toBe('live');
    expect(sending(learn(live, link('reconnecting', 'ice')))).toBe('reconnecting');
    expect(sending(learn(live, link('reconnecting', 'network')))).toBe('server-away');
    expect(sending(learn(live, link('failed', 'full')))).toBe('failed');
  });

  it('is old while nobody would tell of a change', () => {
    expect(listing(NOTHING_KNOWN)).toBe('current');
    expect(listing(after(here, lost))).toBe('old');
    expect(listing(after(here, lost, { of: 'request', answered: true }))).toBe('current');
    expect(listing(after(here, lost, unanswered))).toBe('server-away');
    expect(listing(after(here, unanswered, lost))).toBe('server-away');
    // A preview that plays no more says it sooner than signaling does.
    expect(listing(after(here, link('connected'), link('reconnecting', 'ice')))).toBe('old');
    expect(listing(after(here, lost, unanswered, here))).toBe('current');
    expect(listing(after(here, { of: 'network', online: false }))).toBe('offline');
  });
});

const LINKS: readonly Fact[] = [
  link('connecting'),
  link('waiting', 'server'),
  link('connected'),
  link('reconnecting', 'ice'),
  link('reconnecting', 'network'),
  link('reconnecting', 'full'),
  link('failed', 'network'),
  link('failed', 'codec'),
  link('failed', 'unauthorized'),
  { of: 'tracks' },
];
const EVERY: readonly Fact[] = [
  ...LINKS,
  // Often enough that a picture is missed for a while.
  ...Array.from({ length: 4 }, () => link('connected')),
  ...Array.from({ length: 8 }, () => measured(false, true)),
  ...Array.from({ length: 4 }, () => measured(false, false)),
  measured(true, true),
  measured(false, true),
  measured(false, false),
  { of: 'layers', layers: null },
  { of: 'layers', layers: layers(true) },
  { of: 'layers', layers: layers(false) },
  { of: 'layers', layers: layers(true, 'line') },
  { of: 'choice', choice: 'audio' },
  { of: 'choice', choice: 'auto' },
  { of: 'undecodable', codec: 'AV1' },
  { of: 'undecodable', codec: null },
  { of: 'network', online: false },
  { of: 'network', online: true },
  { of: 'request', answered: true },
  unanswered,
  here,
  lost,
  told({}),
  told({ status: 'READY' }),
  told({ status: 'STREAMING', media: 'live', tracks: sends('microphone') }),
  told({ status: 'STREAMING', media: 'live', tracks: sends('camera', 'microphone') }),
  told({ status: 'STREAMING', media: 'live', tracks: sends() }),
  told({ status: 'STREAMING', media: 'lost' }),
  asked('READY'),
  asked('STREAMING', STARTED),
];
const END: readonly Fact[] = [
  told({ status: 'CLOSED' }),
  asked('CLOSED', null, ENDED),
  told({ deleted: true }),
];

/** Runs `check` after each of the facts that a die throws. */
function throughout(
  seed: number,
  facts: readonly Fact[],
  check: (known: Known, past: Fact[]) => void,
): Known {
  const roll = dice(seed);
  const past: Fact[] = [];
  let known = NOTHING_KNOWN;
  for (let step = 0; step < 50; step += 1) {
    const fact = facts[roll(facts.length)];
    if (fact === undefined) continue;
    past.push(fact);
    known = learn(known, fact);
    check(known, past);
  }
  return known;
}

/** The latest of some facts. */
function latest(past: readonly Fact[], wanted: (fact: Fact) => boolean): Fact | undefined {
  return past.findLast(wanted);
}

/** What signaling told last, while it is there. */
function believed(past: readonly Fact[]): Extract<Fact, { of: 'told' }> | undefined {
  let [there, said]: [boolean, Extract<Fact, { of: 'told' }> | undefined] = [false, undefined];
  for (const fact of past) {
    if (fact.of === 'signaling') there = fact.state === 'connected';
    if (!there) said = undefined;
    else if (fact.of === 'told') said = fact;
  }
  return said;
}

const SEEDS = Array.from({ length: 120 }, (_, index) => index);

describe('in any order of facts', () => {
  it('nothing is said without a fact behind it', () => {
    const said = new Set<string>();
    for (const seed of SEEDS) {
      throughout(seed, [...EVERY, ...(seed % 4 === 0 ? END : [])], (known, past) => {
        const situation = viewing(known);
        said.add(situation.kind);
        const path = latest(past, ({ of }) => of === 'link') as Extract<Fact, { of: 'link' }> | undefined;
        const toldLast = believed(past);
        const story = `seed ${seed}, step ${past.length}`;
        const ended = past.some((fact) => END.includes(fact));
        if (ended) expect(situation.kind, story).toBe('ended');
        switch (situation.kind) {
          case 'ended':
            expect(ended, story).toBe(true);
            // Before it went live: nobody has ever said that it was live.
            if (situation.lastedMs === 0) {
              const live = (fact: Fact): boolean =>
                (fact.of === 'told' && fact.state.status === 'STREAMING') ||
                (fact.of === 'asked' && fact.broadcast.status === 'STREAMING') ||
                (fact.of === 'link' && fact.state === 'connected');
              expect(past.some(live), story).toBe(false);
            }
            break;
          case 'all-off':
            expect(believed(past)?.state.tracks, story).toEqual(sends());
            break;
          case 'camera-off':
            expect(path?.state, story).toBe('connected');
            expect([known.sendsPicture, known.media], story).not.toContain('lost');
            expect(toldLast?.state.tracks ?? 'nobody said', story).not.toEqual(sends('camera', 'microphone'));
            break;
          case 'shown':
          case 'sound-only':
          case 'slow-line':
            expect(path?.state, story).toBe('connected');
            break;
          case 'waiting':
            expect(['connected', 'waiting'], story).toContain(path?.state);
            if (path?.state === 'waiting') expect([known.online, known.answers], story).not.toContain(false);
            break;
          case 'publisher-lost':
            expect(['connected', 'waiting'], story).toContain(path?.state);
            if (path?.state === 'connected') expect(toldLast?.state.media, story).toBe('lost');
            break;
          case 'server-away':
            expect(known.answers, story).toBe(false);
            break;
          case 'offline':
            expect(
              latest(past, ({ of }) => of === 'network'),
              story,
            ).toEqual({ of: 'network', online: false });
            break;
          default:
            expect(path?.state === 'connected' && situation.kind !== 'codec', story).toBe(false);
        }
      });
    }
    // The generator reaches every word.
    expect([...said].sort()).toEqual([
      ...[
        'all-off',
        'camera-off',
        'codec',
        'connecting',
        'ended',
        'failed',
        'not-started',
        'offline',
        'publisher-lost',
      ],
      ...['reconnecting', 'server-away', 'shown', 'slow-line', 'sound-only', 'waiting'],
    ]);
  });

  it('who ends up with the same facts reads the same words, whatever was before and whoever spoke first', () => {
    // What each source says last; each in its own order.
    const sources: readonly (readonly Fact[])[] = [
      [{ of: 'network', online: true }],
      [here, told({ status: 'STREAMING', media: 'live', tracks: sends('camera', 'microphone') })],
      [
        { of: 'choice', choice: 'auto' },
        { of: 'undecodable', codec: null },
      ],
      [{ of: 'tracks' }, link('connected'), measured(true, true)],
    ];
    for (const seed of SEEDS) {
      const roll = dice(1_000 + seed);
      const queues = sources.map((facts) => [...facts]);
      let known = throughout(seed, EVERY, () => undefined);
      while (queues.some((queue) => queue.length > 0)) {
        const fact = queues[roll(queues.length)]?.shift();
        if (fact !== undefined) known = learn(known, fact);
      }
      expect([viewing(known).kind, sending(known), listing(known)]).toEqual(['shown', 'live', 'current']);
    }
  });

  it('an outage is named whatever it began with', () => {
    const outage: readonly Fact[] = [lost, link('reconnecting', 'network')];
    for (const seed of SEEDS) {
      const known = throughout(seed, EVERY, () => undefined);
      const facts: Fact[] = [
        { of: 'network', online: true },
        ...(seed % 2 === 0 ? outage : [...outage].reverse()),
      ];
      const down = facts.reduce(learn, known);
      expect([viewing(down).kind, sending(down), listing(down)]).toEqual([
        'server-away',
        'server-away',
        'server-away',
      ]);
    }
  });
});
