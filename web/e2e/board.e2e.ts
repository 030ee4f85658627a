import { mkdir } from 'node:fs/promises';

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

import type { Browser, Page } from 'playwright-core';
import type { Browser as Firefox, Page as FirefoxPage } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { closePages, launchChromium } from './harness/browser';
import { Caller, createGroup, ownerOf } from './harness/callers';
import { launchFirefox, ownAddress } from './harness/firefox';
import { Madang } from './harness/madang';
import { id } from './harness/pages';
import { eventually } from './harness/process';

// People who draw in a call, in Chromium and Firefox, through the real server; one of them is cut off for half a minute,
// and all end with the same.

let madang: Madang;
let chromium: Browser;
let firefox: Firefox;

beforeAll(async () => {
  [madang, chromium, firefox] = await Promise.all([
    Madang.start(['--public-ip', ownAddress()]),
    launchChromium(),
    launchFirefox(),
  ]);
});
afterAll(async () => {
  await Promise.all([chromium.close(), firefox.close()]);
  expect(await madang.stop()).toBe(0);
});
afterEach(closePages(() => chromium));

const calm = { height: 180, fps: 5 } as const;
const CUT_MS = Number(process.env.E2E_CUT_MS ?? 30_000);

/** Where pictures to look at go, if anybody wants any. */
async function picture(page: Page | FirefoxPage, name: string): Promise<void> {
  const folder = process.env.E2E_PICTURES;
  if (folder === undefined) return;
  await mkdir(folder, { recursive: true });
  await (page as Page).screenshot({ path: `${folder}/${name}.png` });
}

/** What a page exports as JSON: all objects, by id. What the person would save. */
async function board(page: Caller['page']): Promise<Record<string, unknown>> {
  // The page's own menu makes a file; it is read where it is made.
  const text = await page.evaluate(`(async () => {
    const made = [];
    const native = URL.createObjectURL;
    URL.createObjectURL = (blob) => { made.push(blob); return native.call(URL, blob); };
    const click = HTMLAnchorElement.prototype.click;
    HTMLAnchorElement.prototype.click = function () {};
    try {
      document.querySelector('${id('board-more')}').click();
      await new Promise((done) => setTimeout(done, 50));
      document.querySelector('${id('board-json')}').click();
      for (let tries = 0; made.length === 0 && tries < 100; tries++) await new Promise((done) => setTimeout(done, 20));
      return await made[0].text();
    } finally {
      URL.createObjectURL = native;
      HTMLAnchorElement.prototype.click = click;
    }
  })()`);
  return (JSON.parse(text as string) as { objects: Record<string, unknown> }).objects;
}

/** Draws strokes with the pen, in rows from `top` on. */
async function scribble(page: Page | FirefoxPage, count: number, top: number): Promise<void> {
  const box = await (page as Page).evaluate<{ x: number; y: number; width: number; height: number }>(
    `(({ x, y, width, height }) => ({ x, y, width, height }))(document.querySelector('${id('board-surface')}').getBoundingClientRect())`,
  );
  const { mouse } = page as Page;
  for (let index = 0; index < count; index++) {
    const [x, y] = [box.x + 60 + (index % 8) * 30, box.y + top + Math.floor(index / 8) * 24];
    await mouse.move(x, y);
    await mouse.down();
    await mouse.move(x + 10, y + 12, { steps: 3 });
    await mouse.move(x + 20, y, { steps: 3 });
    await mouse.up();
  }
}

async function opensBoard(caller: Caller): Promise<void> {
  await caller.click('call-board');
  await caller.page.waitForSelector(id('board-tools'), { timeout: 30_000 });
  await caller.click('board-tool-pen');
}

async function same(callers: readonly Caller[], count: number): Promise<void> {
  await eventually(
    `${count} objects on all pages`,
    async () => {
      const boards = await Promise.all(callers.map(({ page }) => board(page)));
      const [first] = boards;
      const counts = boards.map((objects) => Object.keys(objects).length);
      if (counts.some((other) => other !== count)) throw new Error(counts.join());
      for (const other of boards) expect(other).toEqual(first);
      return true;
    },
    30_000,
  );
}

test('Chromium and Firefox draw together, one is cut off, both draw on, all end equal', async () => {
  const { id: group, owner_key: key } = await createGroup(madang.url);
  const url = `${madang.url}/call/${group}`;
  const wide = { width: 1280, height: 800 };
  const anna = await Caller.join(chromium, url, 'Anna', {
    ...calm,
    viewport: wide,
    init: ownerOf(group, key),
  });
  const finn = await Caller.join(firefox, url, 'Finn', { ...calm, viewport: wide });
  const [page, fox] = [anna.page as Page, finn.page as FirefoxPage];
  await opensBoard(anna);
  await opensBoard(finn);
  await scribble(page, 6, 120);
  await scribble(fox, 5, 220);
  await same([anna, finn], 11);
  await picture(page, 'desktop');
  await picture(fox, 'firefox');

  // Cut off: Anna's line, sockets that are open included.
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  const cut = (offline: boolean): Promise<unknown> =>
    session.send('Network.emulateNetworkConditions', {
      offline,
      latency: 0,
      downloadThroughput: -1,
      uploadThroughput: -1,
    });
  await cut(true);
  const from = Date.now();
  await scribble(page, 7, 320);
  await scribble(fox, 4, 420);
  await page.waitForSelector(`${id('board-standing')} [data-key="offline"]`, { timeout: 40_000 });
  const words = await page.textContent(`${id('board-standing')} [data-key="offline"]`);
  expect(words).toContain('7 changes wait');
  await picture(page, 'offline');
  // One's own is on one's own page all the while, and undo works.
  expect(Object.keys(await board(anna.page)).length).toBe(18);
  await page.click(id('board-undo'));
  await scribble(page, 1, 350);
  await page.waitForTimeout(Math.max(0, CUT_MS - (Date.now() - from)));
  await scribble(fox, 3, 460);
  await cut(false);
  const back = Date.now();
  await same([anna, finn], 11 + 7 + 7);
  console.log(`equal ${Date.now() - back} ms after a cut of ${Math.round((back - from) / 1000)} s`);
  await page.waitForSelector(`${id('board-standing')} [data-key="offline"]`, { state: 'detached' });

  // Somebody who comes late has it all.
  const late = await Caller.join(chromium, url, 'Cleo', { ...calm, viewport: wide });
  await opensBoard(late);
  await same([anna, finn, late], 25);
}, 300_000);

test('the right to draw is taken and given while it runs, and the page says so', async () => {
  const { id: group, owner_key: key } = await createGroup(madang.url);
  const url = `${madang.url}/call/${group}`;
  const anna = await Caller.join(chromium, url, 'Anna', { ...calm, init: ownerOf(group, key) });
  const bert = await Caller.join(chromium, url, 'Bert', calm);
  const page = bert.page as Page;
  await opensBoard(anna);
  await opensBoard(bert);
  await scribble(page, 2, 150);
  await same([anna, bert], 2);
  await anna.moderates('Bert', 'right-draw');
  await page.waitForSelector(`${id('board-standing')} [data-key="may-not"]`);
  expect(await page.textContent(id('board-word'))).toBe('Your right to draw was taken.');
  expect(await page.locator(id('board-tool-pen')).count()).toBe(0);
  await scribble(page, 2, 220);
  await page.keyboard.press('Control+z');
  await anna.moderates('Bert', 'right-draw');
  await page.waitForSelector(id('board-tool-pen'));
  expect(await page.textContent(id('board-word'))).toBe('You may draw now.');
  await page.click(id('board-tool-pen'));
  await scribble(page, 1, 260);
  await same([anna, bert], 3);
}, 200_000);

test('on a phone, both ways, light and dark, nothing that axe finds', async () => {
  const { id: group, owner_key: key } = await createGroup(madang.url);
  const url = `${madang.url}/call/${group}`;
  const phone = { width: 390, height: 844 };
  const anna = await Caller.join(chromium, url, 'Anna', {
    ...calm,
    viewport: phone,
    init: ownerOf(group, key),
  });
  const bert = await Caller.join(chromium, url, 'Bert', calm);
  const page = anna.page as Page;
  await anna.click('call-more');
  await anna.click('call-board');
  await page.waitForSelector(id('board-tools'));
  await opensBoard(bert);
  await scribble(bert.page as Page, 9, 130);
  await (bert.page as Page).click(id('board-tool-note'));
  await (bert.page as Page).mouse.click(420, 330);
  await (bert.page as Page).keyboard.type('Talk about this');
  await (bert.page as Page).keyboard.press('Escape');
  await same([anna, bert], 10);
  const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  for (const [scheme, size, name] of [
    ['light', phone, 'phone-light'],
    ['dark', phone, 'phone-dark'],
    ['light', { width: 844, height: 390 }, 'phone-across'],
    ['dark', { width: 1280, height: 800 }, 'desktop-dark'],
  ] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize(size);
    await page.click(id('board-tool-select'));
    await page.keyboard.press('Control+a');
    await page.keyboard.press('Shift+1');
    await page.waitForTimeout(400);
    await picture(page, name);
    // The board has a width to draw on whatever stands beside it.
    const box = await page.locator(id('board-surface')).boundingBox();
    expect(Math.min(box?.width ?? 0, box?.height ?? 0)).toBeGreaterThan(230);
    await page.evaluate(axe);
    const found = await page.evaluate(async () => {
      const { run } = (
        window as unknown as { axe: { run: (where: unknown, options: unknown) => Promise<unknown> } }
      ).axe;
      const { violations } = (await run('.board', {})) as {
        violations: { id: string; nodes: { html: string; failureSummary: string }[] }[];
      };
      return violations.map(
        ({ id: rule, nodes }) => `${rule}: ${nodes[0]?.html} ${nodes[0]?.failureSummary}`,
      );
    });
    expect(found, name).toEqual([]);
  }
}, 200_000);
