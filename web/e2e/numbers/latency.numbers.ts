import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { closePages, launchChromium, openPage } from '../harness/browser';
import { blank, openBoard } from '../harness/board';
import { type Name, createGroup, initOf, numberOf } from '../harness/callers';
import { Film, type Shot } from '../harness/film';
import { Madang } from '../harness/madang';
import { ageOf } from '../harness/mark';
import { eventually, within } from '../harness/process';
import { script } from '../harness/sdk';
import { Figures, quantile } from './figures';

// How old pictures are when they come to the screen: through the SFU, and straight from page to page, of one camera, in one
// page, on one captured picture.

const PUBLISHERS: readonly Name[] = ['Anna', 'Bert', 'Cleo'];
/** Lines of the cameras, and pictures a second. */
const CAMERA = { height: 180, fps: 15 };
/** Connections find their delay before it counts. */
const SETTLE_MS = 10_000;
const WINDOW_MS = 30_000;
const ANSWER_MS = 20_000;

let madang: Madang;
let browser: Browser;
const figures = new Figures();

beforeAll(async () => {
  [madang, browser] = await Promise.all([Madang.start(), launchChromium()]);
});
afterAll(async () => {
  await figures.save();
  await within('the end of Chromium', ANSWER_MS, browser.close()).catch(console.error);
  await madang.stop();
});
afterEach(closePages(() => browser));

/** A page of the switchboard that can also connect straight to another one. */
async function opens(name: Name, group: string, tiles: number, viewport: Viewport): Promise<Page> {
  const page = await openPage(browser, blank(madang.url), { init: initOf(name, CAMERA), viewport });
  await openBoard(page, { url: madang.url, group }, name, { sends: tiles === 0, tiles });
  await page.evaluate(await script('e2e/fixtures/direct.ts', 'direct'));
  return page;
}

interface Viewport {
  width: number;
  height: number;
}

/** Shows the camera of `from` in one more tile of `to`, without a server. */
async function connects(from: Page, to: Page, name: Name): Promise<void> {
  const offer = await from.evaluate('direct.offer([board.room.me.camera.state.get().track])');
  const answer = await to.evaluate(`(() => {
    const tile = document.createElement('div');
    tile.dataset.testid = 'call-tile';
    const video = document.createElement('video');
    video.muted = true;
    const name = document.createElement('span');
    name.dataset.testid = 'call-tile-name';
    name.textContent = '${name}';
    tile.append(video, name);
    document.body.append(tile);
    return direct.answer(${JSON.stringify(offer)}, video);
  })()`);
  await from.evaluate(`direct.accept(${JSON.stringify(answer)})`);
}

/** How old the pictures were that came on one of both ways. */
class Way {
  readonly ages: number[] = [];
  /** When each picture was first seen, by who is in it and its clock. */
  readonly first = new Map<string, number>();

  add(person: number, clock: number, age: number, at: number): void {
    const key = `${person} ${clock}`;
    if (this.first.has(key)) return;
    this.first.set(key, at);
    this.ages.push(age);
  }
}

test('how old the pictures of tiles are', { timeout: 150_000 }, async () => {
  const { id: group } = await createGroup(madang.url);
  const publishers: Page[] = [];
  for (const name of PUBLISHERS) publishers.push(await opens(name, group, 0, { width: 200, height: 150 }));
  const viewer = await opens('Hugo', group, PUBLISHERS.length, { width: 512, height: 600 });
  await eventually('everybody is known', async () => {
    const shown = await viewer.evaluate<string[]>('board.shown()');
    return PUBLISHERS.every((name) => shown.includes(name));
  });
  await viewer.evaluate(`board.show(${JSON.stringify(PUBLISHERS)})`);
  // Its patches number tiles as they come: those of the SFU are there already.
  let last: Shot | null = null;
  const ways = { sfu: new Way(), direct: new Way() };
  let isMeasured = false;
  const film = await Film.start(viewer, (shot) => {
    last = shot;
    if (!isMeasured) return;
    for (const { tile, shows } of shot.tiles) {
      if (shows === null) continue;
      const way = tile < PUBLISHERS.length ? ways.sfu : ways.direct;
      way.add(shows.person, shows.clock, ageOf(shows, shot.at), shot.at);
    }
  });
  const seen = (from: number, to: number): boolean =>
    PUBLISHERS.every((name) =>
      last?.tiles.some(({ tile, shows }) => tile >= from && tile < to && shows?.person === numberOf(name)),
    );
  const count = PUBLISHERS.length;
  await eventually('all through the SFU', () => seen(0, count));
  for (const [index, name] of PUBLISHERS.entries()) {
    const publisher = publishers[index];
    if (publisher !== undefined)
      await within('a direct connection', ANSWER_MS, connects(publisher, viewer, name));
  }
  await eventually('all directly', () => seen(count, 2 * count));
  await new Promise((wake) => setTimeout(wake, SETTLE_MS));
  isMeasured = true;
  await new Promise((wake) => setTimeout(wake, WINDOW_MS));
  isMeasured = false;
  await film.stop();

  const { sfu, direct } = ways;
  // Pictures that were seen on both ways.
  const pairs = [...sfu.first].flatMap(([key, at]) => {
    const other = direct.first.get(key);
    return other === undefined ? [] : [at - other];
  });
  console.log(
    `${sfu.ages.length} pictures through the SFU, ${direct.ages.length} directly, ${pairs.length} both ways`,
  );
  expect(Math.min(sfu.ages.length, direct.ages.length, pairs.length)).toBeGreaterThan(100);
  for (const part of [50, 95]) {
    const [ours, theirs] = [quantile(sfu.ages, part / 100), quantile(direct.ages, part / 100)];
    figures.add(`call_tile_latency_ms_p${part}`, ours);
    figures.add(`call_tile_latency_p2p_ms_p${part}`, theirs);
    figures.add(`call_tile_latency_over_p2p_ms_p${part}`, ours - theirs);
  }
  figures.add('call_tile_latency_over_p2p_ms_mean', pairs.reduce((sum, one) => sum + one, 0) / pairs.length);
});
