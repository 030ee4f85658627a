import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { calmCamera, closePages, launchChromium, received, sentEncodings } from './harness/browser';
import { Madang } from './harness/madang';
import { Pages, choose, end, id, plays, showsHeight } from './harness/pages';
import { eventually } from './harness/process';

let madang: Madang;
let browser: Browser;
let pages: Pages;

beforeAll(async () => {
  [madang, browser] = await Promise.all([Madang.start(), launchChromium()]);
  pages = new Pages(browser, madang.url);
});
afterAll(async () => {
  await browser.close();
  expect(await madang.stop()).toBe(0);
});
afterEach(closePages(() => browser));

/** Opens the menu until it offers all heights, which the server learns from the first keyframe of each. */
async function offersAll(viewer: Page): Promise<void> {
  await viewer.click(id('quality-button'));
  for (const height of [720, 480, 240]) {
    await viewer.locator(id(`quality-${height}`)).waitFor({ timeout: 60_000 });
  }
  await viewer.keyboard.press('Escape');
  await viewer.locator(id('quality-list')).waitFor({ state: 'detached' });
}

test('a viewer gets the picture it chooses, and what nobody watches is not sent', async () => {
  const { studio, number } = await pages.goLive('Three sizes', calmCamera);
  const viewer = await pages.watch(number);
  await plays(viewer);
  await offersAll(viewer);

  for (const height of [240, 720, 480]) {
    await choose(viewer, height);
    await showsHeight(viewer, height);
  }
  await choose(viewer, 'auto');
  await showsHeight(viewer, 720);
  const shown = viewer.locator('.quality-short');
  await eventually('what arrives is named', async () => (await shown.innerText()) === '720p');

  // Nobody watches the two larger ones: they leave the publisher no more.
  await choose(viewer, 240);
  await eventually('large encodings off', async () => {
    const { q, h, f } = await sentEncodings(studio);
    return q?.active === true && h?.active === false && f?.active === false;
  });
  const before = await sentEncodings(studio);
  await plays(viewer, 20);
  const after = await sentEncodings(studio);
  expect(after.f?.bytes).toBe(before.f?.bytes);
  expect(after.h?.bytes).toBe(before.h?.bytes);
  expect(after.q?.bytes).toBeGreaterThan(before.q?.bytes ?? Infinity);
  await studio.locator(id('stat-encodings'), { hasText: '720p off' }).waitFor();

  // They are back as soon as somebody wants them.
  await choose(viewer, 720);
  await eventually('the large encoding on', async () => (await sentEncodings(studio)).f?.active === true);
  await showsHeight(viewer, 720);
  await end(studio);
});

test('sound only, by keyboard, kept over a reload', async () => {
  const { studio, number } = await pages.goLive('For the ears', calmCamera);
  const viewer = await pages.watch(number);
  await plays(viewer);

  await viewer.focus(id('quality-button'));
  await viewer.keyboard.press('Enter');
  await viewer.keyboard.press('End');
  await viewer.keyboard.press('Enter');
  await viewer.locator(`${id('cover')}[data-kind="sound-only"]`).waitFor();
  const focused = () => viewer.evaluate(() => document.activeElement?.getAttribute('data-testid'));
  expect(await focused()).toBe('quality-button');
  // What was on its way still arrives; then there is sound, and nothing else.
  const silence = async () => {
    const before = await received(viewer);
    await eventually('sound', async () => (await received(viewer)).audioBytes > before.audioBytes + 5_000);
    return (await received(viewer)).videoBytes === before.videoBytes;
  };
  await eventually('no picture', silence);

  await viewer.reload();
  await viewer.locator(`${id('cover')}[data-kind="sound-only"]`).waitFor();
  await eventually('no picture after a reload', silence);

  await choose(viewer, 'auto');
  await plays(viewer);
  await viewer.locator(id('cover')).waitFor({ state: 'detached' });
  await end(studio);
});
