import type { Server } from 'node:http';
import { join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { calmCamera, closePages, launchChromium, openPage, received } from './harness/browser';
import { countHeld, held } from './harness/held';
import { Madang } from './harness/madang';
import { id } from './harness/pages';
import { eventually, root } from './harness/process';
import { serveFolder } from './harness/static';

let madang: Madang;
let browser: Browser;
interface Site {
  url: string;
  server: Server;
}
let sites: Record<'call' | 'plain', Site>;

beforeAll(async () => {
  [madang, browser] = await Promise.all([Madang.start(), launchChromium()]);
  const serve = (name: string): Promise<Site> =>
    serveFolder(join(root, 'web/examples', name, 'dist'), (html) =>
      html.replace(/data-madang="[^"]*"/, `data-madang="${madang.url}"`),
    );
  const [call, plain] = await Promise.all([serve('call'), serve('plain')]);
  sites = { call, plain };
});
afterAll(async () => {
  for (const { server } of Object.values(sites)) server.close();
  await browser.close();
  expect(await madang.stop()).toBe(0);
});
afterEach(closePages(() => browser));

function tile(page: Page, name: string): Locator {
  return page.locator(id('tile'), { hasText: name });
}

/** A picture in an element moves: what is there is no frozen frame. */
async function moves(what: string, video: Locator): Promise<void> {
  const frames = (): Promise<number> =>
    video.evaluate((element: HTMLVideoElement) => element.getVideoPlaybackQuality().totalVideoFrames);
  const before = await eventually(`${what} begins`, frames);
  await eventually(`${what} moves`, async () => (await frames()) > before + 5);
}

async function joined(url: string, name: string): Promise<Page> {
  const page = await openPage(browser, url, { init: calmCamera });
  const lobby = page.locator(id('pre-join'));
  await moves(`the preview of ${name}`, lobby.locator('video'));
  await page.waitForFunction(() => Number(document.querySelector('[role=meter]')?.ariaValueNow) > 0);
  await page.fill(id('name'), name);
  await page.click(id('join'));
  await page.locator('main[data-call="connected"]').waitFor();
  return page;
}

/** Sees the moving picture of somebody, and the picture is not covered. */
async function sees(page: Page, name: string): Promise<void> {
  const video = tile(page, name).locator('video[data-state="shown"]');
  await video.waitFor();
  await moves(name, video);
}

test('the call page of fifty lines is a call: two people see and hear each other, switch, leave', async () => {
  const anna = await joined(sites.call.url, 'Anna');
  // The address is the invitation.
  await anna.waitForURL(/group=grp_/);
  const bert = await joined(anna.url(), 'Bert');
  await Promise.all([sees(anna, 'Bert'), sees(bert, 'Anna'), sees(anna, 'Anna (you)')]);
  await eventually('Anna hears Bert', async () => (await received(anna)).audioEnergy > 0);

  const muted = tile(anna, 'Bert').locator('[data-mark="microphone"]');
  expect(await muted.count()).toBe(0);
  await bert.getByRole('button', { name: 'Microphone' }).click();
  await muted.waitFor();
  await bert.getByRole('button', { name: 'Microphone' }).click();
  await muted.waitFor({ state: 'detached' });
  await bert.getByRole('button', { name: 'Camera' }).click();
  await tile(anna, 'Bert').locator('video[data-state="off"]').waitFor();
  await bert.getByRole('button', { name: 'Camera' }).click();
  await sees(anna, 'Bert');

  await bert.getByRole('button', { name: 'Leave' }).click();
  await tile(anna, 'Bert').waitFor({ state: 'detached' });
  // The page before the call knows who was there.
  expect(await bert.inputValue(id('name'))).toBe('Bert');
  await bert.click(id('join'));
  await Promise.all([sees(anna, 'Bert'), sees(bert, 'Anna')]);
});

test('the page without a framework is a call, too', async () => {
  const enter = async (url: string, name: string): Promise<Page> => {
    const page = await openPage(browser, url, { init: calmCamera });
    await page.fill('input', name);
    await page.click('button');
    await page.locator('output', { hasText: 'connected' }).waitFor();
    return page;
  };
  const moving = async (page: Page, name: string): Promise<void> =>
    moves(name, page.locator('figure', { hasText: name }).locator('video'));
  const anna = await enter(sites.plain.url, 'Anna');
  const bert = await enter(anna.url(), 'Bert');
  await Promise.all([moving(anna, 'Bert'), moving(bert, 'Anna'), moving(bert, 'Bert')]);
  await bert.close();
  await anna.locator('figure', { hasText: 'Bert' }).waitFor({ state: 'detached' });
});

test('a page that leaves a call holds no more than before it came, however often', async () => {
  const page = await openPage(browser, sites.call.url, { init: countHeld });
  const lobby = page.locator(id('pre-join'));
  const settled = (): Promise<unknown> =>
    eventually('both devices are open', async () => (await held(page)).tracks === 2);
  await lobby.waitFor();
  await settled();
  const before = await held(page);
  for (let round = 0; round < 3; round++) {
    await page.click(id('join'));
    await page.locator('main[data-call="connected"]').waitFor();
    await page.locator(`${id('tile')} video[data-state="shown"]`).waitFor();
    await page.getByRole('button', { name: 'Leave' }).click();
    await lobby.waitFor();
    await settled();
    await eventually('all is given back', async () => {
      expect(await held(page)).toEqual(before);
      return true;
    });
  }
});
