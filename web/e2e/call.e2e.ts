import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { calmCamera, closePages, launchChromium, openPage } from './harness/browser';
import { Madang } from './harness/madang';
import { id } from './harness/pages';
import { eventually } from './harness/process';

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

async function join(url: string, name: string): Promise<Page> {
  const page = await openPage(browser, url, { init: calmCamera });
  await page.fill(id('call-name'), name);
  await page.click(id('call-join'));
  await page.locator(`${id('call')}[data-state="connected"]`).waitFor({ timeout: 20_000 });
  return page;
}

/** How many frames the tile of somebody has shown so far; null while it shows nothing. */
function frames(page: Page, name: string): Promise<number | null> {
  return page
    .locator(id('call-tile'), { hasText: name })
    .locator('video')
    .evaluate((video: HTMLVideoElement) =>
      video.hidden || video.videoWidth === 0 ? null : video.getVideoPlaybackQuality().totalVideoFrames,
    )
    .catch(() => null);
}

async function sees(page: Page, name: string): Promise<void> {
  await eventually(`the picture of ${name}`, async () => ((await frames(page, name)) ?? 0) > 10);
  let before = Infinity;
  await eventually(`${name} moves`, async () => {
    const now = (await frames(page, name)) ?? 0;
    // After a resume the picture is another one, which counts from zero.
    before = Math.min(before, now);
    return now > before + 10;
  });
}

test('three people meet in a call that one of them starts with a click', async () => {
  const home = await openPage(browser, madang.url);
  await home.click(id('call-start'));
  await home.waitForURL(/\/call\/grp_/);
  const url = home.url();
  const anna = await join(url, 'Anna');
  const bert = await join(url, 'Bert');
  await Promise.all([sees(anna, 'Bert'), sees(bert, 'Anna')]);
  const cleo = await join(url, 'Cleo');
  await Promise.all([sees(cleo, 'Anna'), sees(cleo, 'Bert'), sees(anna, 'Cleo'), sees(bert, 'Cleo')]);

  // Who leaves is gone for the others, whose pictures go on.
  await bert.click(id('call-leave'));
  await anna.locator(id('call-tile'), { hasText: 'Bert' }).waitFor({ state: 'detached', timeout: 10_000 });
  await Promise.all([sees(anna, 'Cleo'), sees(cleo, 'Anna')]);
});
