import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, test } from 'vitest';

import { calmCamera, closePages, launchChromium, openPage } from '../harness/browser';
import { createGroup } from '../harness/callers';
import { Madang } from '../harness/madang';
import { id } from '../harness/pages';
import { eventually, within } from '../harness/process';
import { recordClip } from './clip';
import { Figures, quantile } from './figures';
import { type Joining, watchJoining } from './joining';
import { LightCall } from './light';
import { TASKS, longestTaskCpu } from './tasks';

/** Who is there when a page joins; on a busy machine `NUMBERS_CALLERS` says fewer, and twelve are enough for a whole page. */
const CALLERS = Number(process.env.NUMBERS_CALLERS ?? 29);
/** How often a page joins. */
const JOINS = Number(process.env.NUMBERS_JOINS ?? 20);
/** Joins whose tasks are traced; they do not count among the others, since that takes time, too. */
const TRACED = 5;
/** How often everybody joins a call in which a page is, and as often with a trace. */
const CROWDS = 3;
/** How many of them a second. */
const CROWD_RATE = 50;
/** How long the CPU of a page is measured. */
const WINDOW_MS = 8_000;
/** Tiles that a page has at least once everybody is there: the grid has twelve places, one of which may be one's own. */
const TILES = 11;
const VOICES = 4;
/** A page has all that it is to show within this time, or the run has failed. */
const SHOWN_WITHIN_MS = 20_000;
const ANSWER_MS = 10_000;

let madang: Madang;
let browser: Browser;
let folder: string;
let clip: string;
const figures = new Figures();

beforeAll(async () => {
  const env = { MADANG_TOKENS_PER_MINUTE: '100000', MADANG_CREATE_PER_MINUTE: '1000' };
  [madang, browser] = await Promise.all([Madang.start([], env), launchChromium()]);
  folder = await mkdtemp(join(tmpdir(), 'madang-numbers-'));
  clip = join(folder, 'clip.ivf');
  await writeFile(clip, await recordClip(browser, madang.url));
});
afterAll(async () => {
  await figures.save();
  await within('the end of Chromium', ANSWER_MS, browser.close()).catch(console.error);
  await madang.stop();
  await rm(folder, { recursive: true, force: true });
});
afterEach(closePages(() => browser));

/** What a page has come to in its call. */
function joiningOf(page: Page): Promise<Joining> {
  const look = page.evaluate(() => (window as unknown as { __joining: Joining }).__joining);
  return within('an answer of the page', ANSWER_MS, look);
}

/** A page before a call that watches for so many tiles and voices. */
async function opens(group: string, tiles: number, voices: number): Promise<Page> {
  const init = calmCamera + watchJoining(tiles, voices);
  const viewport = { width: 1600, height: 900 };
  const page = await openPage(browser, `${madang.url}/call/${group}`, { init, viewport });
  await page.locator(id('call-join')).waitFor();
  const name = page.locator(id('call-name'));
  if ((await name.count()) > 0) await name.fill('Page');
  return page;
}

/** As {@link opens}, and it has asked to join. */
async function enters(group: string, tiles: number, voices: number): Promise<Page> {
  const page = await opens(group, tiles, voices);
  await page.click(id('call-join'));
  return page;
}

/** All that it was to show is there. */
function whole(page: Page): Promise<Joining> {
  return eventually(
    'all tiles and voices',
    async () => {
      const joining = await joiningOf(page);
      if (joining.complete === null) throw new Error(JSON.stringify(joining));
      return joining;
    },
    SHOWN_WITHIN_MS,
  );
}

/** CPU seconds of all processes of the browser so far. */
async function cpu(): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await within(
    'the CPU of Chromium',
    ANSWER_MS,
    session.send('SystemInfo.getProcessInfo'),
  );
  await session.detach();
  return processInfo.reduce((sum, { cpuTime }) => sum + cpuTime, 0);
}

/** CPU of the browser with this page alone, percent of a core. */
async function cost(): Promise<number> {
  await new Promise((wake) => setTimeout(wake, 2_000));
  const before = await cpu();
  const from = performance.now();
  await new Promise((wake) => setTimeout(wake, WINDOW_MS));
  return ((await cpu()) - before) / ((performance.now() - from) / 100_000);
}

test('a page joins thirty, and shows twelve of them', { timeout: 240_000 }, async () => {
  const light = await LightCall.start(madang, clip, CALLERS);
  try {
    await light.joined();
    const took: number[] = [];
    const longest: number[] = [];
    for (let n = 0; n < JOINS; n += 1) {
      const page = await enters(light.group, TILES, VOICES);
      const joining = await whole(page);
      took.push(joining.complete ?? Infinity);
      longest.push(joining.longestTask);
      figures.add('call_page_longest_task_while_joining_ms', joining.longestTask);
      if (n === JOINS - 1) figures.add('call_page_cpu_percent_12_tiles', await cost());
      await page.context().close();
    }
    console.log(`joins, ms: ${took.map(Math.round).join()}`);
    figures.add(`call_join_page_ms_p50_${CALLERS + 1}`, quantile(took, 0.5));
    figures.add(`call_join_page_ms_p95_${CALLERS + 1}`, quantile(took, 0.95));
    figures.add('call_page_longest_task_while_joining_ms_most', quantile(longest, 1));
    for (let n = 0; n < TRACED; n += 1) {
      const page = await opens(light.group, TILES, VOICES);
      const longestCpu = await traced(page, async () => {
        await page.click(id('call-join'));
        await whole(page);
      });
      figures.add('call_page_longest_task_cpu_ms_while_joining', longestCpu);
      await page.context().close();
    }
  } finally {
    await light.leave();
  }
});

/** Runs `work` while the tasks of the browser are traced; returns the CPU of the longest one. */
async function traced(page: Page, work: () => Promise<unknown>): Promise<number> {
  await browser.startTracing(page, { categories: TASKS });
  await work();
  return longestTaskCpu(await within('a trace of Chromium', ANSWER_MS, browser.stopTracing()));
}

/** A page in a call of its own, around which everybody joins while `watch` looks. */
async function crowd(watch: (page: Page, join: () => Promise<Joining>) => Promise<void>): Promise<void> {
  const { id: group } = await createGroup(madang.url);
  const page = await enters(group, TILES, VOICES);
  await page.locator(`${id('call')}[data-state="connected"]`).waitFor();
  // What the page did to join by itself is not meant.
  await page.evaluate(() => {
    const { __joining } = window as unknown as { __joining: Joining };
    Object.assign(__joining, { asked: performance.now(), longestTask: 0 });
  });
  let light: LightCall | null = null;
  try {
    await watch(page, async () => {
      light = await LightCall.start(madang, clip, CALLERS, { group, rate: CROWD_RATE });
      return whole(page);
    });
  } finally {
    await (light as LightCall | null)?.leave();
    await page.context().close();
  }
}

test('thirty join around a page', { timeout: 240_000 }, async () => {
  for (let round = 0; round < CROWDS; round += 1) {
    await crowd(async (_, join) => {
      figures.add('call_page_longest_task_while_all_join_ms', (await join()).longestTask);
    });
  }
  for (let round = 0; round < CROWDS; round += 1) {
    await crowd(async (page, join) => {
      figures.add('call_page_longest_task_cpu_ms_while_all_join', await traced(page, join));
    });
  }
});

test('a page with one other in the call', { timeout: 90_000 }, async () => {
  const light = await LightCall.start(madang, clip, 1);
  try {
    await light.joined();
    await whole(await enters(light.group, 1, 1));
    figures.add('call_page_cpu_percent_1_tile', await cost());
  } finally {
    await light.leave();
  }
  const twelve = figures.of('call_page_cpu_percent_12_tiles');
  const one = figures.of('call_page_cpu_percent_1_tile');
  if (twelve !== undefined && one !== undefined)
    figures.add('call_page_cpu_ratio_12_tiles_to_1', twelve / one);
});
