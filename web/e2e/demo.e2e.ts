import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { launchChromium, openPage, received, watchConnections } from './harness/browser';
import { Madang } from './harness/madang';
import { eventually } from './harness/process';

let madang: Madang;
let browser: Browser;

beforeAll(async () => {
  [madang, browser] = await Promise.all([Madang.start(['--demo']), launchChromium()]);
});
afterAll(async () => {
  await browser.close();
  expect(await madang.stop()).toBe(0);
});

test('Home shows a moving picture before any camera is asked for', async () => {
  const home = await openPage(browser, madang.url, { permissions: [], init: watchConnections });
  await eventually('frames', async () => (await received(home)).framesDecoded > 30);
  await eventually('no freeze', async () => (await received(home)).freezeCount === 0);
  // A preview is no viewer.
  const [demo] = (await (await fetch(`${madang.url}/broadcasts`)).json()) as { viewer_count: number }[];
  expect(demo?.viewer_count).toBe(0);
});

test('the admin port answers', async () => {
  for (const path of ['/livez', '/readyz']) expect((await fetch(madang.admin + path)).status).toBe(200);
  const metrics = await (await fetch(`${madang.admin}/metrics`)).text();
  for (const service of ['meta_', 'signaling_', 'sfu_', 'turn_'])
    expect(metrics).toContain(`# TYPE ${service}`);
});
