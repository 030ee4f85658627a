import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { launchChromium, relayOnly } from './harness/browser';
import { Pages, end, id, plays, said, say } from './harness/pages';
import { Child, binary, eventually, root } from './harness/process';

const run = promisify(execFile);

let dataDir: string;
let services: Child;
let browser: Browser;
let pages: Pages;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'madang-services-'));
  // Services that find each other by setting need ports that are known beforehand.
  const base = 20_000 + Math.floor(Math.random() * 8_000);
  services = new Child(
    'run-services',
    join(root, 'scripts/run-services'),
    [dirname(binary('meta-service'))],
    {
      env: {
        DATA_DIR: dataDir,
        PORT_META: `${base}`,
        PORT_SIGNALING: `${base + 1}`,
        PORT_SFU: `${base + 2}`,
        PORT_TURN: `${base + 3}`,
        PORT_MEDIA: `${base + 4}`,
      },
    },
  );
  const home = await services.line(/^\s*Home\s+(http:\S+?)\/?$/, 60_000);
  browser = await launchChromium();
  pages = new Pages(browser, home[1] ?? '');
});

afterAll(async () => {
  await browser.close();
  expect(await services.stop(30_000)).toBe(0);
  await rm(dataDir, { recursive: true, force: true });
});

test('four processes on one Postgres, which restarts in the middle', async () => {
  const { studio, number } = await pages.goLive('Four processes');
  const viewer = await pages.watch(number);
  await plays(viewer);
  await eventually('one viewer', async () => (await pages.broadcast(number)).viewer_count === 1);
  await say(viewer, 'before');
  await said(studio, 'before');

  const postgres = (action: string) =>
    run(join(root, 'scripts/postgres'), [action, join(dataDir, 'postgres')]);
  await postgres('stop');
  const list = await eventually('503', async () => {
    const response = await fetch(`${pages.url}/broadcasts`);
    return response.status === 503 && response;
  });
  expect(list.headers.get('content-type')).toBe('application/problem+json');
  expect(list.headers.get('retry-after')).not.toBeNull();
  // Media, chat and counting go on without the catalogue.
  await plays(viewer, 60);
  await say(viewer, 'during');
  await said(studio, 'during');

  await postgres('start');
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
