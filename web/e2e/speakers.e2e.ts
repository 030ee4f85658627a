import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';

import { closePages, launchChromium, openPage } from './harness/browser';
import { blank, openBoard } from './harness/board';
import { type Name, NAMES, createGroup, initOf } from './harness/callers';
import { Film, keep } from './harness/film';
import { Madang } from './harness/madang';
import { LINES, speech } from './harness/speech';
import { eventually } from './harness/process';

// Three people speak in turn, with words that a program speaks; a fourth watches whoever speaks mainly.

/** How often everybody speaks. */
const ROUNDS = Number(process.env.E2E_ROUNDS ?? 2);
// Everybody's sentence in each round takes its time on a busy machine.
vi.setConfig({ testTimeout: 90_000 + ROUNDS * 60_000 });
const SPEAKERS: readonly [name: Name, voice: string][] = [
  ['Anna', 'en+f2'],
  ['Bert', 'en+m3'],
  ['Cleo', 'en+f4'],
];

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

/** Somebody was marked as speaking, or not any more. */
interface Change {
  at: number;
  now: string[];
  mainly: string | null;
}

/** Notes each change of who speaks, as the SDK tells it. */
const note = `(() => {
  const { room } = board;
  const names = (ids) => [...ids].map((id) => room.people.get().get(id)?.name ?? '?');
  const changes = (window.__changes = []);
  const look = () => {
    const { now, mainly } = room.speaking.get();
    changes.push({ at: Date.now(), now: names(now), mainly: mainly === null ? null : names([mainly])[0] });
  };
  room.speaking.subscribe(look);
  look();
})()`;

test('the picture follows whoever speaks, under the right name, and the mark does not flicker', async () => {
  const { id: group } = await createGroup(madang.url);
  const at = { url: madang.url, group };
  const pages: Page[] = [];
  const lines: string[] = [];
  for (const [index, [name, voice]] of SPEAKERS.entries()) {
    const init = initOf(name, { height: 180, voice: 'silent' });
    const page = await openPage(browser, blank(madang.url), { init, viewport: { width: 200, height: 150 } });
    await openBoard(page, at, name, { sends: true, tiles: 0 });
    pages.push(page);
    lines.push(await speech(LINES[index] ?? '', voice));
  }
  const init = initOf('Hugo');
  const watcher = await openPage(browser, blank(madang.url), { init, viewport: { width: 512, height: 300 } });
  await openBoard(watcher, at, 'Hugo', { sends: false, tiles: 1 });
  const shown = () => watcher.evaluate<string[]>(`board.shown()`);
  await eventually('everybody is known', async () => (await shown()).length === SPEAKERS.length);
  await watcher.evaluate(note);
  await watcher.evaluate(`board.show(['speaker'])`);

  let seen: number | null = null;
  /** Pictures under a wrong name, by what was wrong; each must be one picture of the camera. */
  const wrong = new Map<string, Set<number>>();
  let episode = 0;
  const kept: Promise<string>[] = [];
  const film = await Film.start(watcher, ({ tiles, png }) => {
    const [tile] = tiles;
    if (tile === undefined || tile.shows === null) return;
    const { says, shows } = tile;
    seen = says === shows.person ? says : null;
    if (says === shows.person) {
      episode += 1;
      return;
    }
    const key = `${episode}: ${says ?? 'nobody'} is said of ${shows.person}`;
    wrong.set(key, (wrong.get(key) ?? new Set()).add(shows.clock));
    kept.push(keep('wrong speaker', png));
  });

  const spoken: { name: Name; from: number; to: number }[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, [name]] of SPEAKERS.entries()) {
      const from = Date.now();
      const said = pages[index]?.evaluate(`window.__persona.say(${JSON.stringify(lines[index])})`);
      await eventually(`${name} is in the picture`, () => seen === NAMES.indexOf(name), 15_000);
      console.log(`${name} is seen ${Date.now() - from} ms after beginning to speak`);
      await said;
      spoken.push({ name, from, to: Date.now() });
    }
  }
  await film.stop();
  const changes = await watcher.evaluate<Change[]>(`window.__changes`);
  for (const [what, clocks] of wrong)
    console.log(`${what}: ${clocks.size} pictures`, await Promise.all(kept));
  // What the page did not ask for may be wrong for one picture.
  expect([...wrong.values()].every((clocks) => clocks.size <= 1)).toBe(true);

  for (const { name, from, to } of spoken) {
    // The mark of the one before stays for 600 ms, and all of it takes a moment on its way.
    const during = changes.filter(({ at: time }) => time > from + 1_500 && time < to);
    const others = during.filter(({ now }) => now.some((one) => one !== name));
    expect(others, `others are marked while ${name} speaks`).toEqual([]);
    const marks = changes
      .filter(({ at: time }) => time >= from && time <= to)
      .map(({ now }) => now.includes(name));
    const flips = marks.filter((isOn, index) => index > 0 && isOn !== marks[index - 1]).length;
    console.log(`${name}: ${flips} changes of the mark in ${to - from} ms of speech`);
    expect(flips, `the mark of ${name}`).toBeLessThanOrEqual(3);
  }
});
