import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { calmCamera, closePages, FreezableChromium, launchChromium, openPage } from './harness/browser';
import { Madang } from './harness/madang';
import { Pages, end, id, plays, said, say } from './harness/pages';
import { eventually } from './harness/process';

// What pages say while something is away: each word is taken down as it appears, by the page itself.

let madang: Madang;
let browser: Browser;
let pages: Pages;

beforeAll(async () => {
  [madang, browser] = await Promise.all([Madang.start(), launchChromium()]);
  pages = new Pages(browser, madang.url);
});
afterAll(async () => {
  await browser.close();
  await madang.stop();
});
afterEach(closePages(() => browser));

/** Notes every kind of cover of a viewer's page from the start, with the time. */
const noteCovers = `${calmCamera} (() => {
  const notes = (window.__covers = []);
  const look = () => {
    const kind = document.querySelector('[data-testid="cover"]')?.dataset.kind ?? 'picture';
    if (notes.at(-1)?.kind !== kind) notes.push({ kind, at: Date.now() });
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
})();`;

interface Note {
  kind: string;
  at: number;
}

/** The covers since a time. */
async function covers(page: Page, since: number): Promise<Note[]> {
  const notes = await page.evaluate(() => (window as unknown as { __covers: Note[] }).__covers);
  return notes.filter(({ at }) => at >= since);
}

async function shows(page: Page, kind: string, timeoutMs = 30_000): Promise<void> {
  await page.locator(`${id('cover')}[data-kind="${kind}"]`).waitFor({ timeout: timeoutMs });
}

test('a streamer that crashes is away for its viewers within seconds, and nothing else is said', async () => {
  const crashing = await FreezableChromium.launch();
  try {
    const { studio, number } = await new Pages(crashing.browser, madang.url).goLive('Crash', calmCamera);
    const viewer = await pages.watch(number, noteCovers);
    await plays(viewer);
    await viewer.locator(id('cover')).waitFor({ state: 'detached' });
    const crashed = Date.now();
    try {
      await crashing.freeze();
      await shows(viewer, 'publisher-lost');
      const [first] = await covers(viewer, crashed);
      console.log(`the viewer heard of it after ${(first?.at ?? 0) - crashed} ms`);
      expect(first?.kind).toBe('publisher-lost');
    } finally {
      // Some of its processes may stand even where not all could be stopped.
      await crashing.thaw();
    }
    await viewer.locator(id('cover')).waitFor({ state: 'detached' });
    await plays(viewer);
    const kinds = (await covers(viewer, crashed)).map(({ kind }) => kind);
    expect(kinds).not.toContain('camera-off');
    await end(studio);
    await shows(viewer, 'ended');
    // Never a moment of "it ended before it went live".
    expect(await viewer.locator(id('cover')).textContent()).not.toMatch(/before it went live/);
  } finally {
    await crashing.close();
  }
});

test('muted and without a camera, a streamer is not away', async () => {
  const { studio, number } = await pages.goLive('Quiet', calmCamera);
  const viewer = await pages.watch(number, noteCovers);
  await plays(viewer);
  const quiet = Date.now();
  await studio.click(id('toggle-camera'));
  await shows(viewer, 'camera-off');
  await studio.click(id('toggle-microphone'));
  await shows(viewer, 'all-off');
  // Long enough that a silent streamer would be taken for lost.
  await eventually('ten quiet seconds', () => Date.now() - quiet > 10_000, 15_000);
  const kinds = (await covers(viewer, quiet)).map(({ kind }) => kind);
  expect(kinds).not.toContain('publisher-lost');
  expect(kinds).not.toContain('reconnecting');
  await end(studio);
});

test('a server that is killed is named on every page, and what was written meanwhile arrives', async () => {
  const { studio, number } = await pages.goLive('Killed', calmCamera);
  const home = await openPage(browser, madang.url);
  await home.locator(`${id('broadcast-card')}[data-id="${number}"]`).waitFor();
  const viewer = await pages.watch(number, noteCovers);
  await plays(viewer);
  await say(viewer, 'before');
  await said(studio, 'before');
  const killed = Date.now();
  await madang.kill();
  await shows(viewer, 'server-away');
  await studio.locator(id('link-state')).waitFor();
  await home.locator(id('list-worth')).waitFor();
  const card = home.locator(`${id('broadcast-card')}[data-id="${number}"] ${id('status')}`);
  expect(await card.getAttribute('data-status')).toBe('DOUBTFUL');
  expect(await studio.getByText('Your upload is slow').count()).toBe(0);
  expect(await studio.locator(`${id('status')}[data-status="STREAMING"]`).count()).toBe(0);
  await say(viewer, 'while it was away');
  await viewer.locator(`${id('chat-pending')}[data-state="waiting"]`).waitFor();
  expect(await viewer.inputValue(id('chat-input'))).toBe('');

  await madang.restart();
  await viewer.locator(id('cover')).waitFor({ state: 'detached', timeout: 60_000 });
  await plays(viewer);
  // The chat comes back at a time of its own, after a second try within 15 s: all pages have lost the same server.
  const arrived = studio.locator(id('chat-message'), { hasText: 'while it was away' });
  await arrived.waitFor({ timeout: 40_000 });
  await viewer.locator(id('chat-pending')).waitFor({ state: 'detached' });
  expect(await viewer.locator(id('chat-message'), { hasText: 'while it was away' }).count()).toBe(1);
  await home.locator(id('list-worth')).waitFor({ state: 'detached', timeout: 60_000 });
  const notes = await covers(viewer, killed);
  console.log(notes.map(({ kind, at }) => `${at - killed} ms ${kind}`).join(', '));
  const kinds = notes.map(({ kind }) => kind);
  expect(kinds).not.toContain('camera-off');
  // The picture is not waited for while the server is away.
  expect(kinds.indexOf('waiting')).not.toBe(0);
  expect((notes[0]?.at ?? Infinity) - killed).toBeLessThan(10_000);
  await end(studio);
});
