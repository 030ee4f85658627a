import axeCore from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import type { Browser as Firefox, Page as FirefoxPage } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { calmCamera, closePages, launchChromium } from './harness/browser';
import { Caller, createGroup } from './harness/callers';
import { launchFirefox, openFirefoxPage, ownAddress } from './harness/firefox';
import { Madang } from './harness/madang';
import { Pages, id, say } from './harness/pages';
import { eventually } from './harness/process';
import { openSdkPage } from './harness/sdk';

// The chat of broadcasts and calls, in Chromium and Firefox, against the real server and its database.

let madang: Madang;
let browser: Browser;
let firefox: Firefox;
let pages: Pages;

beforeAll(async () => {
  [madang, browser, firefox] = await Promise.all([
    Madang.start(['--public-ip', ownAddress()]),
    launchChromium(),
    launchFirefox(),
  ]);
  pages = new Pages(browser, madang.url);
});
afterAll(async () => {
  await Promise.all([browser.close(), firefox.close()]);
  await madang.stop();
});
afterEach(closePages(() => browser));

/** The messages that stand in a page, each as its text. */
const LINES = `[...document.querySelectorAll('${id('chat-message')} .chat-text')].map((line) => line.innerText)`;

/** What pages of both libraries have. */
interface AnyPage {
  evaluate(script: string): Promise<unknown>;
}

async function lines(page: AnyPage): Promise<string[]> {
  return (await page.evaluate(LINES)) as string[];
}

async function shows(page: AnyPage, ...texts: string[]): Promise<void> {
  await eventually(`${texts.join(', ')} in the chat`, async () => {
    const all = await lines(page);
    const wrong = texts.filter((text) => all.filter((line) => line === text).length !== 1);
    if (wrong.length > 0) throw new Error(`${wrong.join(', ')} in ${all.join(' | ')}`);
    return true;
  });
}

async function connected(page: Page): Promise<void> {
  await page.locator(`${id('chat')}[data-connection="connected"]`).waitFor();
}

/** Points at a message, and chooses something of what can be done with it. */
async function choose(page: Page, text: string, ...buttons: string[]): Promise<void> {
  // What quotes it has its text as well.
  await page.locator(`${id('chat-message')}:has(> .chat-text:has-text("${text}"))`).hover();
  for (const button of buttons) await page.click(id(button));
}

/** As a person does it in Firefox. */
async function sayInFirefox(page: FirefoxPage, text: string): Promise<void> {
  await page.type(id('chat-input'), text);
  await page.click(id('chat-send'));
}

/** What axe says against the chat of a page. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axeCore.source);
  const { violations: found } = await page.evaluate(async () => {
    const { axe } = window as unknown as { axe: typeof axeCore };
    return axe.run('[data-testid="chat"]', { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'] });
  });
  return found.flatMap(({ id: rule, nodes }) => nodes.map(({ html }) => `${rule}: ${html.slice(0, 200)}`));
}

test(
  'people chat, answer, change and delete; a moderator bans; all of it is there after reloads and a crash',
  { timeout: 240_000 },
  async () => {
    const { studio, number } = await pages.goLive('Chat', calmCamera);
    const anna = await pages.watch(number, calmCamera);
    await connected(anna);
    await anna.fill(id('chat-name'), 'Anna');
    const url = `${madang.url}/watch/${number}`;
    const finn = await openFirefoxPage(firefox, url);
    await finn.waitForSelector(`${id('chat')}[data-connection="connected"]`);
    await finn.type(id('chat-name'), 'Finn');

    await say(anna, 'see https://example.org/a?b=1, everybody');
    await shows(finn, 'see example.org/a?b=1, everybody');
    const href = `document.querySelector('${id('chat-message')} a').href`;
    expect(await finn.evaluate(href)).toBe('https://example.org/a?b=1');
    await sayInFirefox(finn, 'thank you');
    await shows(anna, 'thank you');

    // An answer, which leads to what it answers.
    await choose(anna, 'thank you', 'chat-reply');
    await say(anna, 'welcome');
    await shows(finn, 'welcome');
    const quote = `document.querySelector('${id('chat-quote')}').innerText.replaceAll('\\n', ' ')`;
    expect(await finn.evaluate(quote)).toContain('Finn thank you');

    await choose(anna, 'welcome', 'chat-edit');
    await anna.fill(id('chat-input'), 'most welcome');
    await anna.click(id('chat-send'));
    await shows(finn, 'most welcome (edited)');
    await say(anna, 'a slip');
    await shows(finn, 'a slip');
    await choose(anna, 'a slip', 'chat-delete', 'confirm-end');
    await shows(finn, 'Deleted message');
    expect(await lines(finn)).not.toContain('a slip');

    // Reloaded: the same person, with all of it; what was deleted stays so.
    await anna.reload();
    await connected(anna);
    const all = ['see example.org/a?b=1, everybody', 'thank you', 'most welcome (edited)', 'Deleted message'];
    await shows(anna, ...all);
    expect(await anna.locator(id('chat-message'), { hasText: 'most welcome' }).innerText()).toContain('You');

    // The host pins, and bans. Who is banned is told so, also after a reload, and may read.
    await shows(studio, 'thank you');
    await choose(studio, 'see example.org', 'chat-more', 'chat-more-pin');
    await anna.locator(id('chat-pinned'), { hasText: 'everybody' }).waitFor();
    await choose(studio, 'thank you', 'chat-more', 'chat-more-ban');
    await studio.fill(id('chat-ban-reason'), 'for the test');
    await studio.click(id('chat-ban-yes'));
    const sanction = `document.querySelector('${id('chat-sanction')}')?.innerText ?? ''`;
    const isBanned = async (): Promise<boolean> =>
      String(await finn.evaluate(sanction)).includes('You are banned');
    await eventually('Finn is told', isBanned);
    expect(await finn.evaluate(sanction)).toContain('for the test');
    await finn.reload();
    await eventually('Finn is still told', isBanned);
    await say(anna, 'poor Finn');
    await shows(finn, 'poor Finn');
    expect(await violations(studio)).toEqual([]);
    await studio.click(id('chat-rules-open'));
    await studio.locator(id('chat-banned'), { hasText: 'Finn' }).waitFor();
    await studio.locator(id('chat-slow')).selectOption('5');
    await anna.locator(id('chat-rule')).waitFor();
    await studio.locator(id('chat-slow')).selectOption('0');
    await studio.click(id('chat-unban'));
    await studio.locator(id('chat-bans'), { hasText: 'Nobody is kept from writing' }).waitFor();
    await finn.waitForSelector(id('chat-input'));

    // Away: what is being written stays, what was sent waits, and the crash has taken nothing.
    const before = await lines(anna);
    await madang.kill();
    await anna.locator(`${id('chat')}[data-connection="lost"]`).waitFor();
    await say(anna, 'while it was away');
    await anna.locator(`${id('chat-pending')}[data-state="waiting"]`).waitFor();
    await anna.fill(id('chat-input'), 'half a tho');
    await madang.restart();
    await anna.locator(id('chat-pending')).waitFor({ state: 'detached', timeout: 60_000 });
    await shows(anna, ...before, 'while it was away');
    expect(await anna.inputValue(id('chat-input'))).toBe('half a tho');
    await eventually(
      'Firefox is back',
      async () => (await lines(finn)).includes('while it was away'),
      60_000,
    );
    expect(await lines(finn)).toEqual(await lines(anna));
    await anna.locator(id('chat-pinned'), { hasText: 'everybody' }).waitFor();

    expect(await violations(anna)).toEqual([]);
    await finn.close();
  },
);

/** What is in the window of a page that writes much. */
interface WriterWindow {
  sdk: typeof import('@madang/sdk');
}

test(
  'older messages come page by page, and what is read stays where it is',
  { timeout: 240_000 },
  async () => {
    const count = 140;
    const { id: number } = await pages.create('History');
    const writer = await openSdkPage(browser, madang.url);
    // Several people, each as fast as it may.
    await writer.evaluate(
      async ({ room, all }) => {
        const { sdk } = window as unknown as WriterWindow;
        const chats = Array.from({ length: 7 }, () => {
          const signaling = new sdk.Signaling({ url: sdk.signalingUrl('') });
          signaling.start();
          return new sdk.Chat({ signaling, room });
        });
        for (let line = 0; line < all; line += 1) {
          const chat = chats[line % chats.length];
          // One after the other, so that they stand in this order.
          chat?.send(`line ${line}.`);
          while (chat?.pending.get().some(({ state }) => state.kind !== 'sent'))
            await new Promise((resolve) => setTimeout(resolve, 10));
        }
      },
      { room: String(number), all: count },
    );
    const reader = await pages.watch(number, calmCamera);
    await connected(reader);
    await shows(reader, `line ${count - 1}.`);
    expect(await lines(reader)).toHaveLength(100);
    const top = `(() => {
    const list = document.querySelector('${id('chat-lines')}');
    const above = list.getBoundingClientRect().top;
    const row = [...list.querySelectorAll('${id('chat-message')}')].find((one) => one.getBoundingClientRect().bottom > above + 5);
    return { text: row.querySelector('.chat-text').innerText, at: Math.round(row.getBoundingClientRect().top - above) };
  })()`;
    await reader.locator(id('chat-lines')).evaluate((list) => (list.scrollTop = 300));
    const before = await reader.evaluate(top);
    await eventually('all of it', async () => (await lines(reader)).length === count);
    expect(await reader.evaluate(top)).toEqual(before);
    expect(await lines(reader)).toEqual(Array.from({ length: count }, (_, line) => `line ${line}.`));
    await reader.locator(id('chat-newer')).click();
    await reader.locator(id('chat-newer')).waitFor({ state: 'detached' });
    // Back at the end, memory holds what it should.
    expect((await lines(reader)).at(-1)).toBe(`line ${count - 1}.`);
  },
);

test('a direct message is seen by its two people and nobody else', { timeout: 240_000 }, async () => {
  const { id: group } = await createGroup(madang.url);
  const url = `${madang.url}/call/${group}`;
  const anna = await Caller.join(browser, url, 'Anna');
  const bert = await Caller.join(browser, url, 'Bert');
  const finn = await Caller.join(firefox, url, 'Finn');
  try {
    const page = anna.chromium;
    if (page === null) throw new Error('Anna is in Chromium');
    await anna.opens('chat');
    await page.locator(`${id('chat-to')} option`, { hasText: 'Bert' }).waitFor({ state: 'attached' });
    await page.locator(id('chat-to')).selectOption({ label: 'Bert' });
    await page.locator(id('chat-only'), { hasText: 'Only Bert will see this' }).waitFor();
    await anna.says('between us');
    await page.locator(id('chat-to')).selectOption('');
    await anna.says('for all');
    await eventually('Bert has both', async () => {
      const all = (await bert.chat()).join(' | ');
      return all.includes('between us') && all.includes('for all');
    });
    await eventually('Finn has the one', async () => (await finn.chat()).join().includes('for all'));
    expect((await finn.chat()).join()).not.toContain('between us');
    const direct = bert.chromium?.locator(id('chat-message'), { hasText: 'between us' });
    expect(await direct?.innerText()).toContain('Only you and Anna see this');
    expect(await violations(page)).toEqual([]);
  } finally {
    await Promise.all([anna, bert, finn].map((one) => one.close()));
  }
});
