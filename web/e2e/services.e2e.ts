import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { launchChromium, relayOnly } from './harness/browser';
import { Pages, end, id, plays, said, say } from './harness/pages';
import { eventually, root } from './harness/process';
import { Services } from './harness/services';

const run = promisify(execFile);

let services: Services;
let browser: Browser;
let pages: Pages;

beforeAll(async () => {
  [services, browser] = await Promise.all([Services.start(), launchChromium()]);
  pages = new Pages(browser, services.url);
});

afterAll(async () => {
  await browser.close();
  expect(await services.stop()).toBe(0);
});

test('four processes on one Postgres, which restarts in the middle', async () => {
  const { studio, number } = await pages.goLive('Four processes');
  const viewer = await pages.watch(number);
  await plays(viewer);
  await eventually('one viewer', async () => (await pages.broadcast(number)).viewer_count === 1);
  await say(viewer, 'before');
  await said(studio, 'before');

  const postgres = (action: string) =>
    run(join(root, 'scripts/postgres'), [action, join(services.dataDir, 'postgres')]);
  await postgres('stop');
  const list = await eventually('503', async () => {
    const response = await fetch(`${pages.url}/broadcasts`);
    return response.status === 503 && response;
  });
  expect(list.headers.get('content-type')).toBe('application/problem+json');
  expect(list.headers.get('retry-after')).not.toBeNull();
  // Media and counting go on without the catalogue. What is written waits: it is sent when it is kept.
  await plays(viewer, 60);
  await say(viewer, 'during');

  await postgres('start');
  await said(studio, 'during');
  const created = await eventually('writes again', async () =>
    pages.create('After the restart').catch(() => null),
  );
  expect(created.status).toBe('READY');
  expect((await pages.broadcast(number)).status).toBe('STREAMING');
  await plays(viewer);

  const relayed = await pages.watch(number, relayOnly);
  await plays(relayed);

  await end(studio);
  await viewer.locator(`${id('cover')}[data-kind="ended"]`).waitFor();
  await eventually('CLOSED', async () => (await pages.broadcast(number)).status === 'CLOSED');
});
