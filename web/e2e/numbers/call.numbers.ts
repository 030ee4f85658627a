import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, test } from 'vitest';

import { calmCamera, closePages, launchChromium, openPage } from '../harness/browser';
import { Madang } from '../harness/madang';
import { id } from '../harness/pages';
import { Child, binary, eventually } from '../harness/process';
import { CLIP_FPS, recordClip } from './clip';
import { type Joining, watchJoining } from './joining';

/** Who is there when a page joins; on a busy machine `NUMBERS_CALLERS` says fewer, and twelve are enough for a whole page. */
const CALLERS = Number(process.env.NUMBERS_CALLERS ?? 29);
/** How often a page joins. */
const JOINS = Number(process.env.NUMBERS_JOINS ?? 10);
/** How long the CPU of a page is measured. */
const WINDOW_MS = 8_000;
/** Tiles that a page has at least once everybody is there: the grid has twelve places, one of which may be one's own. */
const TILES = 11;
const VOICES = 4;

let madang: Madang;
let browser: Browser;
let folder: string;
let clip: string;
const figures: Record<string, number[]> = {};

beforeAll(async () => {
  const env = { MADANG_TOKENS_PER_MINUTE: '100000', MADANG_CREATE_PER_MINUTE: '1000' };
  [madang, browser] = await Promise.all([Madang.start([], env), launchChromium()]);
  folder = await mkdtemp(join(tmpdir(), 'madang-numbers-'));
  clip = join(folder, 'clip.ivf');
  await writeFile(clip, await recordClip(browser, madang.url));
});
afterAll(async () => {
  await browser.close();
  await madang.stop();
  await rm(folder, { recursive: true, force: true });
  console.log(JSON.stringify(figures, null, 2));
  const out = process.env.NUMBERS_OUT;
  if (out !== undefined) await writeFile(out, JSON.stringify(figures));
});
afterEach(closePages(() => browser));

function add(name: string, value: number): void {
  (figures[name] ??= []).push(value);
}

/** A call of so many light clients, who send the clip and all speak; ends with `stop`. */
async function callOf(callers: number): Promise<{ group: string; light: Child }> {
  const response = await fetch(`${madang.url}/groups`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'Numbers' }),
  });
  const group = ((await response.json()) as { id: string }).id;
  const set = [
    `call.group=${group}`,
    `call.callers=${callers}`,
    'call.rejoins=0',
    'call.page_turns=0',
    'call.talk=all',
    'view.join_rate=5',
    'run.duration_s=600',
    'publish.video=clip',
    `publish.clip=${clip}`,
    'publish.simulcast=[]',
    `publish.fps=${CLIP_FPS}`,
  ].flatMap((assignment) => ['--set', assignment]);
  const light = new Child('probe', binary('probe'), ['run', 'call', '--server', madang.url, ...set]);
  await light.line(/^measure$/, 120_000);
  return { group, light };
}

/** A page that joins, and all that it was to show. */
async function joins(
  group: string,
  tiles: number,
  voices: number,
): Promise<{ page: Page; joining: Joining }> {
  const init = calmCamera + watchJoining(tiles, voices);
  const viewport = { width: 1600, height: 900 };
  const page = await openPage(browser, `${madang.url}/call/${group}`, { init, viewport });
  await page.locator(id('call-join')).waitFor();
  const name = page.locator(id('call-name'));
  if ((await name.count()) > 0) await name.fill('Page');
  await page.click(id('call-join'));
  const look = (): Promise<Joining> =>
    page.evaluate(() => (window as unknown as { __joining: Joining }).__joining);
  const complete = async (): Promise<Joining> => {
    const joining = await look();
    if (joining.complete === null) throw new Error(JSON.stringify(joining));
    return joining;
  };
  return { page, joining: await eventually('all tiles and voices', complete, 60_000) };
}

/** CPU seconds of all processes of the browser so far. */
async function cpu(): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  return processInfo.reduce((sum, { cpuTime }) => sum + cpuTime, 0);
}

/** CPU of the browser with this page alone, percent of a core. */
async function cost(): Promise<number> {
  await new Promise((wake) => setTimeout(wake, 2_000));
  const before = await cpu();
  await new Promise((wake) => setTimeout(wake, WINDOW_MS));
  return ((await cpu()) - before) / (WINDOW_MS / 100_000);
}

test('a page joins thirty, and shows twelve of them', { timeout: 400_000 }, async () => {
  const { group, light } = await callOf(CALLERS);
  try {
    const took: number[] = [];
    for (let n = 0; n < JOINS; n += 1) {
      const { page, joining } = await joins(group, TILES, VOICES);
      took.push(joining.complete ?? Infinity);
      add('call_page_longest_task_while_joining_ms', joining.longestTask);
      if (n === JOINS - 1) add('call_page_cpu_percent_12_tiles', await cost());
      await page.context().close();
    }
    took.sort((a, b) => a - b);
    add(`call_join_page_ms_p50_${CALLERS + 1}`, took[Math.floor(JOINS / 2)] ?? NaN);
    add(`call_join_page_ms_p95_${CALLERS + 1}`, took[Math.ceil(JOINS * 0.95) - 1] ?? NaN);
  } finally {
    light.kill('SIGINT');
    await light.ended();
  }
});

test('a page with one other in the call', { timeout: 200_000 }, async () => {
  const { group, light } = await callOf(1);
  try {
    await joins(group, 1, 1);
    add('call_page_cpu_percent_1_tile', await cost());
  } finally {
    light.kill('SIGINT');
    await light.ended();
  }
  const twelve = figures.call_page_cpu_percent_12_tiles?.[0];
  const one = figures.call_page_cpu_percent_1_tile?.[0];
  if (twelve !== undefined && one !== undefined) add('call_page_cpu_ratio_12_tiles_to_1', twelve / one);
});
