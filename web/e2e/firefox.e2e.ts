import type { Browser as Chromium } from 'playwright-core';
import type { Browser as Firefox } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { calmCamera, closePages, launchChromium, received, sentEncodings } from './harness/browser';
import { launchFirefox, openFirefoxPage, ownAddress } from './harness/firefox';
import { Madang } from './harness/madang';
import { Pages, choose, id, plays, showsHeight } from './harness/pages';
import { eventually } from './harness/process';

let madang: Madang;
let chromium: Chromium;
let firefox: Firefox;
let pages: Pages;

beforeAll(async () => {
  [madang, chromium, firefox] = await Promise.all([
    Madang.start(['--public-ip', ownAddress()]),
    launchChromium(),
    launchFirefox(),
  ]);
  pages = new Pages(chromium, madang.url);
});
afterAll(async () => {
  await Promise.all([chromium.close(), firefox.close()]);
  expect(await madang.stop()).toBe(0);
});
afterEach(closePages(() => chromium));

test('Firefox publishes in several sizes; Firefox and Chromium watch', async () => {
  const studio = await openFirefoxPage(firefox, `${madang.url}/studio`, calmCamera);
  await studio.waitForSelector(id('name'));
  await studio.type(id('name'), 'From Firefox');
  await studio.click(id('go-live'));
  const link = await studio.waitForSelector(id('share-link'));
  const url = await link?.evaluate((field) => (field as HTMLInputElement).value);
  const number = Number(/\/watch\/(\d+)$/.exec(url ?? '')?.[1]);
  await eventually('STREAMING', async () => (await pages.broadcast(number)).status === 'STREAMING');
  expect(Object.keys(await sentEncodings(studio)).sort()).toEqual(['f', 'h', 'q']);

  const viewer = await openFirefoxPage(firefox, `${madang.url}/watch/${number}`);
  await plays(viewer);
  await eventually('sound', async () => (await received(viewer)).audioEnergy > 0);
  await viewer.close();

  const other = await pages.watch(number);
  await plays(other);
  expect((await received(other)).codec).toBe('video/VP8');
  await choose(other, 240);
  await showsHeight(other, 240);
  const before = await sentEncodings(studio);
  await eventually('the full size is not sent', async () => {
    const now = (await sentEncodings(studio)).f?.bytes;
    const same = now === before.f?.bytes;
    before.f = { active: false, bytes: now ?? 0 };
    return same;
  });
  // Firefox sends black where there is no camera: viewers would see that.
  await studio.click(id('toggle-camera'));
  await other.locator(`${id('cover')}[data-kind="camera-off"]`).waitFor();
  await studio.click(id('toggle-camera'));
  await other.locator(id('cover')).waitFor({ state: 'detached' });
  await plays(other);
  await studio.close();
});
