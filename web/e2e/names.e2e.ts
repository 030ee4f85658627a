import type { Browser } from 'playwright-core';
import type { Browser as Firefox } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { closePages, launchChromium, openPage } from './harness/browser';
import { type Name, NAMES, createGroup, initOf } from './harness/callers';
import { type Evaluates, blank, openBoard } from './harness/board';
import { Film, type Shot, keep, shoot } from './harness/film';
import { launchFirefox, openFirefoxPage, ownAddress } from './harness/firefox';
import { Madang } from './harness/madang';
import { Ages } from './harness/ages';
import { eventually } from './harness/process';

// Who is in the picture is right: tiles are switched many times, and every captured picture is judged.

/** How often tiles are switched in each browser. */
const SWITCHES = Number(process.env.E2E_SWITCHES ?? 30);
const PUBLISHERS: readonly Name[] = ['Anna', 'Bert', 'Cleo', 'Dora'];
const TILES = 2;
/** What a switch may take until it is seen. */
const PATIENCE_MS = 20_000;
/** All switches of a browser: the long form takes its time on a busy machine. */
const LIMIT = { timeout: 120_000 + SWITCHES * 4_000 };

let madang: Madang;
let chromium: Browser;
let firefox: Firefox;
let group: string;

beforeAll(async () => {
  [madang, chromium, firefox] = await Promise.all([
    Madang.start(['--public-ip', ownAddress()]),
    launchChromium(),
    launchFirefox(),
  ]);
  group = (await createGroup(madang.url)).id;
});
afterAll(async () => {
  await Promise.all([chromium.close(), firefox.close()]);
  expect(await madang.stop()).toBe(0);
});
afterEach(closePages(() => chromium));

/** Everybody who is to be seen, each on a page that shows nothing. */
async function publish(): Promise<void> {
  for (const name of PUBLISHERS) {
    const init = initOf(name, { height: 180 });
    const page = await openPage(chromium, blank(madang.url), { init, viewport: { width: 200, height: 150 } });
    await openBoard(page, { url: madang.url, group }, name, { sends: true, tiles: 0 });
  }
}

/** What was seen in a run of switches. */
class Record {
  shots = 0;
  readable = 0;
  readonly wrong: string[] = [];
  readonly ages = new Ages();
  last: Shot | null = null;
  private readonly kept: Promise<unknown>[] = [];

  constructor(private readonly browser: string) {}

  take(shot: Shot): void {
    this.shots += 1;
    this.last = shot;
    for (const { tile, says, shows } of shot.tiles) {
      if (shows === null) continue;
      this.readable += 1;
      this.ages.add(shows, shot.at);
      if (says === shows.person) continue;
      const what = `tile ${tile} says ${name(says)} of ${name(shows.person)}, a picture of ${shows.clock}`;
      this.wrong.push(what);
      this.kept.push(
        keep(`wrong name ${this.browser}`, shot.png).then((path) => console.log(`${what}: ${path}`)),
      );
    }
  }

  async report(switches: number): Promise<void> {
    await Promise.all(this.kept);
    console.log(
      `${this.browser}: ${switches} switches, ${this.shots} captured pictures, ${this.readable} tiles read, ` +
        `${this.wrong.length} under a wrong name; age of what is seen ${this.ages.text()}`,
    );
  }
}

function name(person: number | null): string {
  return person === null ? 'nobody' : (NAMES[person] ?? `number ${person}`);
}

/** Tiles are switched to people in an order that looks random and is the same in every run. */
function* orders(): Generator<{ names: Name[]; hasty: boolean }> {
  let state = 20_261_201;
  const next = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (;;) {
    const left = [...PUBLISHERS];
    const names = Array.from({ length: TILES }, () => left.splice(next(left.length), 1)[0] ?? 'Anna');
    yield { names, hasty: next(4) === 0 };
  }
}

/** Switches, and waits for what is wanted to be seen: sometimes not, as who pages through a room in haste. */
async function switches(page: Evaluates, look: () => Promise<Shot | null>, count: number): Promise<void> {
  await eventually('everybody is known', async () => {
    const shown = (await page.evaluate('board.shown()')) as string[];
    return PUBLISHERS.every((one) => shown.includes(one));
  });
  const sequence = orders();
  for (let done = 0; done < count; done += 1) {
    const { value } = sequence.next() as { value: { names: Name[]; hasty: boolean } };
    const started = Date.now();
    await page.evaluate(`board.show(${JSON.stringify(value.names)})`);
    if (value.hasty && done + 1 < count) continue;
    const seen = (shot: Shot | null): boolean =>
      shot !== null && shot.at > started && value.names.every((one) => isSeen(shot, NAMES.indexOf(one)));
    await eventually(
      `switch ${done} to ${value.names.join(' and ')}`,
      async () => seen(await look()),
      PATIENCE_MS,
    );
  }
}

function isSeen({ tiles }: Shot, person: number): boolean {
  return tiles.some(({ says, shows }) => says === person && shows?.person === person);
}

describe('switches that the page asks for never show anybody under a wrong name', () => {
  test('in Chromium', LIMIT, async () => {
    await publish();
    const init = initOf('Hugo');
    const page = await openPage(chromium, blank(madang.url), { init, viewport: { width: 512, height: 300 } });
    await openBoard(page, { url: madang.url, group }, 'Hugo', { sends: false, tiles: TILES });
    const record = new Record('Chromium');
    const film = await Film.start(page, (shot) => record.take(shot));
    await switches(page, () => Promise.resolve(record.last), SWITCHES);
    await film.stop();
    await record.report(SWITCHES);
    expect(record.wrong).toEqual([]);
    expect(record.readable).toBeGreaterThan(SWITCHES);
  });

  test('in Firefox', LIMIT, async () => {
    await publish();
    const page = await openFirefoxPage(firefox, blank(madang.url), initOf('Hugo'));
    await page.setViewport({ width: 512, height: 300 });
    await openBoard(page, { url: madang.url, group }, 'Hugo', { sends: false, tiles: TILES });
    const record = new Record('Firefox');
    const look = async (): Promise<Shot> => {
      const shot = await shoot(page);
      record.take(shot);
      return shot;
    };
    await switches(page, look, SWITCHES);
    await record.report(SWITCHES);
    expect(record.wrong).toEqual([]);
    expect(record.readable).toBeGreaterThan(SWITCHES);
    await page.close();
  });
});
