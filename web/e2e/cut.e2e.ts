import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { calmCamera, closePages } from './harness/browser';
import { Lab } from './harness/lab';
import { type Pages, end, id, plays, said, say } from './harness/pages';
import { eventually } from './harness/process';

// The viewer's line is cut and comes back; the streamer and the server are at its other end.

let lab: Lab;
let streamer: Pages;

beforeAll(async () => {
  lab = await Lab.wire();
  streamer = await lab.pagesAtServer();
});
afterAll(() => lab.close());
afterEach(closePages(() => lab.browser));

test.each([3_000, 12_000])('what is written while the line is cut for %i ms arrives once', async (cutMs) => {
  lab.set({ delay: 20, loss: 0 });
  const { studio, number } = await streamer.goLive('Cut', calmCamera);
  const viewer = await lab.pages.watch(number, calmCamera);
  await plays(viewer);
  await viewer.locator(id('cover')).waitFor({ state: 'detached' });
  await viewer.locator(`${id('chat')}[data-connection="connected"]`).waitFor();

  const cut = Date.now();
  lab.set({ delay: 20, loss: 100 });
  await say(viewer, 'into the void');
  await viewer.locator(id('chat-pending')).waitFor();
  await viewer.locator(id('cover')).waitFor();
  console.log(`said after ${Date.now() - cut} ms: ${await viewer.locator(id('cover')).textContent()}`);
  const kind = await viewer.locator(id('cover')).getAttribute('data-kind');
  expect(['reconnecting', 'server-away']).toContain(kind);
  await eventually('the cut is over', () => Date.now() - cut >= cutMs, cutMs + 5_000);
  expect(await viewer.locator(id('chat-pending')).count()).toBe(1);

  const healed = Date.now();
  lab.set({ delay: 20, loss: 0 });
  await viewer.locator(id('cover')).waitFor({ state: 'detached' });
  console.log(`a picture ${Date.now() - healed} ms after the line was back`);
  await plays(viewer);
  await viewer.locator(id('chat-pending')).waitFor({ state: 'detached', timeout: 30_000 });
  console.log(`the message ${Date.now() - healed} ms after`);
  await said(studio, 'into the void');
  for (const page of [studio, viewer]) {
    expect(await page.locator(id('chat-message'), { hasText: 'into the void' }).count()).toBe(1);
  }
  await end(studio);
});
