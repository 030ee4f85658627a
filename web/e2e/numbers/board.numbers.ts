import type { Browser, CDPSession, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { launchChromium } from '../harness/browser';
import { eventually } from '../harness/process';
import { script } from '../harness/sdk';

// What a whiteboard costs a page: 2,000 strokes of 120 points, 50 others whose cursors move 20 times a second, five of
// whom draw a stroke a second. Without a server: what the page's own scripts take.

const STROKES = 2_000;
const OTHERS = 50;
const SECONDS = Number(process.env.NUMBERS_SECONDS ?? 10);

interface BoardWindow {
  boardPage: typeof import('../fixtures/board');
  cost: { frames: number; stop: () => void };
}

let chromium: Browser;
beforeAll(async () => {
  chromium = await launchChromium();
});
afterAll(() => chromium.close());

/** Seconds that a page's scripts, and all of its main thread, have taken. */
async function spent(session: CDPSession): Promise<{ script: number; task: number }> {
  const { metrics } = await session.send('Performance.getMetrics');
  const of = (name: string): number => metrics.find((metric) => metric.name === name)?.value ?? 0;
  return { script: of('ScriptDuration'), task: of('TaskDuration') };
}

async function open(): Promise<Page> {
  const page = await (await chromium.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
  await page.route('http://localhost/board', (route) =>
    route.fulfill({ contentType: 'text/html', body: '<!doctype html><body></body>' }),
  );
  await page.goto('http://localhost/board');
  await page.evaluate(await script('e2e/fixtures/board.ts', 'boardPage'));
  return page;
}

test('2,000 strokes and 50 cursors', { timeout: 120_000 }, async () => {
  const page = await open();
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable');
  const opened = await page.evaluate(
    (strokes) => (window as unknown as BoardWindow).boardPage.openFull(strokes, 1280, 800),
    STROKES,
  );
  console.log(
    `open: document of ${Math.round(opened.bytes / 1024)} KB read in ${Math.round(opened.read)} ms, drawn after ${Math.round(opened.drawn)} ms`,
  );
  expect(opened.drawn).toBeGreaterThan(0);
  await page.evaluate((others) => {
    const inside = window as unknown as BoardWindow;
    inside.cost = inside.boardPage.crowd(others);
  }, OTHERS);
  await page.waitForTimeout(1_000);
  const frames = (): Promise<number> => page.evaluate(() => (window as unknown as BoardWindow).cost.frames);
  for (const what of ['others draw', 'and the page is moved', 'and zoomed']) {
    const [before, first] = [await spent(session), await frames()];
    const until = Date.now() + SECONDS * 1_000;
    for (let turn = 0; Date.now() < until; turn++) {
      if (what === 'others draw') await page.waitForTimeout(200);
      else {
        await page.mouse.move(640, 400);
        if (what === 'and zoomed') await page.keyboard.down('Control');
        await page.mouse.wheel(0, turn % 40 < 20 ? 12 : -12);
        if (what === 'and zoomed') await page.keyboard.up('Control');
        await page.waitForTimeout(16);
      }
    }
    const [after, last] = [await spent(session), await frames()];
    const count = last - first;
    const each = (seconds: number): string => ((seconds * 1_000) / count).toFixed(2);
    console.log(
      `${what}: ${count} frames in ${SECONDS} s, script ${each(after.script - before.script)} ms a frame, ` +
        `main thread ${each(after.task - before.task)} ms a frame`,
    );
    expect(count).toBeGreaterThan(SECONDS);
  }
  await eventually('everything is drawn', () =>
    page.evaluate(() => document.querySelector<HTMLElement>('.board-surface')?.dataset.drawn === 'true'),
  );
});
