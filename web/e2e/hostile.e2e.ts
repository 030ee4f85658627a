import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { closePages, launchChromium, openPage } from './harness/browser';
import { Caller, createGroup, initOf, tokenOf } from './harness/callers';
import { Film } from './harness/film';
import { Madang } from './harness/madang';
import { eventually } from './harness/process';
import { type RawAnswer, type RawCalls, type RawJoin, rawCalls } from './harness/raw-call';

// Two people talk; a third, with a client of its own making, does what no page of ours would. They notice nothing.

let madang: Madang;
let browser: Browser;

beforeAll(async () => {
  [madang, browser] = await Promise.all([Madang.start(), launchChromium()]);
});
afterAll(async () => {
  await browser.close();
  expect(await madang.stop()).toBe(0);
});
afterEach(closePages(() => browser));

/** A page that does only what it is told. */
class Hostile {
  private constructor(private readonly page: Page) {}

  static async open(): Promise<Hostile> {
    const init = initOf('Hugo', { height: 180 }) + rawCalls;
    // A page of the same origin without a program of its own.
    return new Hostile(await openPage(browser, `${madang.url}/config.json`, { init }));
  }

  async do<Given, Result>(
    inside: (raw: RawCalls, given: Given) => Result | Promise<Result>,
    given: Given,
  ): Promise<Result> {
    const call = `(${inside.toString()})(window.__raw, ${JSON.stringify(given)})`;
    return await this.page.evaluate(call);
  }

  join(options: RawJoin): Promise<RawAnswer> {
    return this.do((raw, given) => raw.join(given), options);
  }
}

/** What is wrong on the captured pictures of somebody's page in which only these people are to be seen. */
class Watch {
  readonly wrong: string[] = [];
  private readonly clocks = new Map<number, Set<number>>();

  static async over(caller: Caller, expected: readonly number[]): Promise<{ watch: Watch; film: Film }> {
    const watch = new Watch();
    if (caller.chromium === null) throw new Error('only Chromium is filmed');
    const film = await Film.start(caller.chromium, ({ tiles }) => {
      for (const { says, shows } of tiles) {
        if (shows === null) continue;
        const seen = watch.clocks.get(shows.person) ?? new Set();
        watch.clocks.set(shows.person, seen.add(shows.clock));
        if (says !== shows.person || !expected.includes(shows.person))
          watch.wrong.push(`${says} is said of ${shows.person}`);
      }
    });
    return { watch, film };
  }

  /** How many different pictures of somebody were seen so far. */
  of(person: number): number {
    return this.clocks.get(person)?.size ?? 0;
  }
}

/** How often a publisher's page made a keyframe, and how often its encodings were changed. */
async function keyframes(caller: Caller): Promise<number> {
  const script = `(async () => {
    let sum = 0;
    for (const connection of window.__connections)
      (await connection.getStats()).forEach((entry) => (sum += entry.keyFramesEncoded ?? 0));
    return sum;
  })()`;
  return (await caller.page.evaluate(script)) as number;
}

test('a participant that forges, floods and pries is alone with it', async () => {
  const { id: group } = await createGroup(madang.url);
  const { id: other } = await createGroup(madang.url);
  const url = `${madang.url}/call/${group}`;
  const anna = await Caller.join(browser, url, 'Anna', { height: 180 });
  const bert = await Caller.join(browser, url, 'Bert', { height: 180 });
  const stranger = await Caller.join(browser, `${madang.url}/call/${other}`, 'Cleo', { height: 180 });
  await anna.sees(['Bert']);
  await bert.sees(['Anna']);
  await anna.hears(['Bert']);
  const { watch, film } = await Watch.over(anna, [anna.number, bert.number]);
  const goesOn = async (what: string): Promise<void> => {
    const before = watch.of(bert.number);
    await eventually(`Anna sees Bert move after ${what}`, () => watch.of(bert.number) > before + 5);
    expect(watch.wrong, what).toEqual([]);
    expect(await anna.state(), what).toBe('connected');
  };

  const hostile = await Hostile.open();
  const token = await tokenOf(madang.url, group);
  const foreign = await tokenOf(madang.url, other);

  // What may not be asked for.
  const double = {
    publish: {
      sdp: 'v=0',
      sources: [
        { mid: '0', source: 'camera' },
        { mid: '0', source: 'screen' },
      ],
    },
  };
  const alien = { receive: { sdp: 'v=0', slots: [{ mid: '7', kind: 'tile' }] } };
  const deaf = await tokenOf(madang.url, group, { grants: ['chat'] });
  const refusals: [what: string, join: RawJoin, status: number][] = [
    ["another room's token", { group, token: foreign }, 403],
    ['no right', { group, token: deaf }, 403],
    ['one line as two sources', { group, token, over: double }, 400],
    ['a slot that is not offered', { group, token, over: alien }, 400],
    ['a field of its own', { group, token, over: { participant: 'par_anna' } }, 400],
    ['a session that it made up', { group, token, over: { resume: `ses_${'A'.repeat(22)}` } }, 404],
    ['too many wants', { group, token, over: { wants: { generation: 1, sources: many(65) } } }, 400],
  ];
  for (const [what, join, status] of refusals) expect((await hostile.join(join)).status, what).toBe(status);
  await goesOn('what was refused');

  // In its own room it is a participant like others; what it has no camera for is not seen.
  const { status, body, handle } = await hostile.join({ group, token });
  expect(status).toBe(201);
  const room = body as unknown as {
    people: { sources: { source: string; csrc: number }[] }[];
    sources: object[];
  };
  const cameras = room.people.flatMap(({ sources }) => sources.filter(({ source }) => source === 'camera'));
  expect(cameras).toHaveLength(2);

  // Wants of everything that has a number, in slots of every kind: nothing comes of another room.
  const everything = Array.from({ length: 64 }, (_, source) => ({
    source,
    slot: 'tile',
    priority: 255,
    pinned: true,
  }));
  await hostile.do((raw, given) => raw.say(given.handle, given.wants), {
    handle,
    wants: { generation: 10, sources: everything },
  });
  await eventually(
    'pictures of its own room',
    async () => (await hostile.do((raw, at) => raw.got(at), handle)).frames > 5,
  );
  const known = new Set(room.people.flatMap(({ sources }) => sources.map(({ csrc }) => csrc)));
  const got = await hostile.do((raw, at) => raw.sources(at), handle);
  expect(got.filter((source) => !known.has(source))).toEqual([]);
  await goesOn('wants of everything');

  // A flood of wants that change each time: publishers are asked for keyframes no oftener than for anybody.
  const before = { count: await keyframes(bert), at: performance.now() };
  const camera = cameras[1]?.csrc ?? 0;
  const flip = `{"generation":1$n,"sources":[{"source":${camera},"slot":"tile","height":$n}]}`;
  await hostile.do((raw, given) => raw.flood(given.handle, 4_000, given.flip), { handle, flip });
  const seconds = (performance.now() - before.at) / 1_000;
  const asked = (await keyframes(bert)) - before.count;
  console.log(`${asked} keyframes of Bert in a flood of 4,000 wants, ${Math.round(seconds * 10) / 10} s`);
  // Two a second of each of up to three encodings, and what a change of encodings brings.
  expect(asked).toBeLessThan(6 * seconds + 6);
  await goesOn('a flood of wants');

  // Channels that are not its own, what is no message, and last what is too long for one.
  for (const label of ['-/call', '-/control', 'chat', 'x'.repeat(500)])
    await hostile.do((raw, given) => raw.channel(given.handle, given.label, 'y'.repeat(10_000)), {
      handle,
      label,
    });
  const rubbish = [
    '{',
    '[]',
    '{"generation":-1,"sources":[]}',
    '{"type":"bound","slots":[]}',
    'x'.repeat(60_000),
  ];
  for (const message of rubbish) {
    const sent = await hostile.do((raw, given) => raw.flood(given.handle, 200, given.message), {
      handle,
      message,
    });
    console.log(`${sent} of 200 messages of ${message.length} bytes were taken`);
  }
  await goesOn('rubbish');
  // Who sends what is too long is told so, and has no channel any more.
  const ended = await hostile.do((raw, at) => raw.ended(at), handle);
  console.log(`its channel: ${JSON.stringify(ended)}`);
  expect(ended.state).toBe('closed');
  expect(ended.why).toContain('max-message-size');
  expect(await hostile.do((raw, at) => Object.keys(raw.heard(at)), handle)).toContain('bound');

  // What belongs to others.
  const foreignPath = `/rooms/${other}/sessions/${String(body.session)}`;
  for (const method of ['PATCH', 'DELETE']) {
    const answer = await hostile.do((raw, given) => raw.request(given.method, given.path, given.body, {}), {
      method,
      path: foreignPath,
      body: method === 'PATCH' ? { wants: { generation: 99, sources: [] } } : null,
    });
    expect(answer, `${method} through another room`).toBe(404);
  }
  await goesOn('requests through another room');

  // The same token in a loop replaces only its own session.
  for (let round = 0; round < 5; round += 1) expect((await hostile.join({ group, token })).status).toBe(201);
  await goesOn('joining again and again');
  await anna.hears(['Bert']);
  await bert.hears(['Anna']);
  await stranger.sees([]);
  await film.stop();
  expect(await stranger.state()).toBe('connected');
});

function many(count: number): object[] {
  return Array.from({ length: count }, (_, source) => ({ source, slot: 'tile' }));
}
