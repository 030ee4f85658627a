import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';

import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { closePages, launchChromium, openPage, watchConnections } from './harness/browser';
import { Madang } from './harness/madang';
import { id, plays } from './harness/pages';
import { eventually } from './harness/process';

const DESKTOP: BrowserContextOptions = { viewport: { width: 1280, height: 800 } };
const PHONE: BrowserContextOptions = {
  viewport: { width: 390, height: 844 },
  hasTouch: true,
  isMobile: true,
};
const PHONE_ON_ITS_SIDE: BrowserContextOptions = { ...PHONE, viewport: { width: 844, height: 390 } };
const SCHEMES = ['light', 'dark'] as const;

let madang: Madang;
let browser: Browser;
/** The broadcast that the server itself makes. */
let demo = 0;
/** Keeps the sum of the layout shifts of a page (CLS), as https://web.dev/articles/cls counts without its windows. */
const watchShifts = `(() => {
  window.__shifts = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.__shifts += entry.value;
  }).observe({ type: 'layout-shift', buffered: true });
})();`;

beforeAll(async () => {
  [madang, browser] = await Promise.all([Madang.start(['--demo']), launchChromium()]);
  demo = await eventually('the demo', async () => {
    const rows = (await (await fetch(`${madang.url}/broadcasts?status=STREAMING`)).json()) as {
      id: number;
    }[];
    return rows[0]?.id ?? false;
  });
});
afterAll(async () => {
  await browser.close();
  await madang.stop();
});
afterEach(closePages(() => browser));

async function post(path: string, body: unknown): Promise<Record<string, unknown>> {
  const response = await fetch(madang.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return (await response.json()) as Record<string, unknown>;
}

/** How the player is. */
async function player(page: Page): Promise<{ paused: boolean; idle: boolean; stands: boolean }> {
  return page.evaluate(() => {
    const frame = document.querySelector<HTMLElement>('[data-testid="player"]');
    const video = document.querySelector<HTMLVideoElement>('video[data-place="main"]');
    return {
      paused: frame?.dataset.paused === 'true',
      idle: frame?.dataset.idle === 'true',
      stands: video?.paused === true,
    };
  });
}

describe('the player', () => {
  test('obeys its keys, and none of them while somebody writes', async () => {
    const page = await openPage(browser, `${madang.url}/watch/${demo}`, {
      ...DESKTOP,
      init: watchConnections,
    });
    await plays(page);
    await page.keyboard.press('k');
    await eventually('a pause', async () => (await player(page)).stands);
    expect(
      await page
        .locator('audio')
        .first()
        .evaluate((audio: HTMLAudioElement) => audio.muted),
    ).toBe(true);
    const before = await page
      .locator('video[data-place="main"]')
      .evaluate((video: HTMLVideoElement) => video.currentTime);
    await page.click(id('to-live'));
    await eventually('moving on', async () => {
      const now = await page
        .locator('video[data-place="main"]')
        .evaluate((video: HTMLVideoElement) => video.currentTime);
      return now > before;
    });
    expect((await player(page)).paused).toBe(false);
    await page.locator(id('to-live')).waitFor({ state: 'detached' });

    await page.keyboard.press('m');
    expect(await page.inputValue(id('volume'))).toBe('0');
    await page.keyboard.press('m');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    expect(await page.inputValue(id('volume'))).toBe('0.9');
    await page.keyboard.press('t');
    await page.locator('.watch[data-theatre="true"]').waitFor();
    await page.keyboard.press('f');
    await eventually('full screen', () => page.evaluate(() => document.fullscreenElement !== null));
    await page.keyboard.press('f');
    await eventually('no full screen', () => page.evaluate(() => document.fullscreenElement === null));
    await page.keyboard.press('?');
    await page.locator(id('player-keys')).waitFor();
    await page.keyboard.press('k');
    expect((await player(page)).paused).toBe(false);
    await page.keyboard.press('Escape');
    await page.locator(id('player-keys')).waitFor({ state: 'detached' });

    await page.click(id('chat-input'));
    await page.keyboard.type('kmft i?');
    expect(await page.inputValue(id('chat-input'))).toBe('kmft i?');
    expect((await player(page)).paused).toBe(false);

    // Kept for the next time.
    await page.reload();
    await page.locator('.watch[data-theatre="true"]').waitFor();
    expect(await page.inputValue(id('volume'))).toBe('0.9');
  });

  test('takes its bar away from who only watches, and brings it back', async () => {
    const page = await openPage(browser, `${madang.url}/watch/${demo}`, {
      ...DESKTOP,
      init: watchConnections,
    });
    await plays(page);
    await page.mouse.move(300, 300);
    await eventually('no bar', async () => (await player(page)).idle, 10_000);
    const seen = (): Promise<string> =>
      page.locator('.player-bar').evaluate((bar) => getComputedStyle(bar).opacity);
    await eventually('nothing of it to be seen', async () => (await seen()) === '0');
    expect(await page.locator(id('player')).evaluate((frame) => getComputedStyle(frame).cursor)).toBe('none');
    await page.mouse.move(320, 320);
    await eventually('a bar', async () => !(await player(page)).idle);
    await page.mouse.dblclick(320, 320);
    await eventually('full screen', () => page.evaluate(() => document.fullscreenElement !== null));
    // While nothing moves anyway the way back is to be seen.
    await page.keyboard.press('k');
    await page.waitForTimeout(4_000);
    expect((await player(page)).idle).toBe(false);
  });
});

describe('a phone', () => {
  /** Whether something can be touched: it is in the window, and nothing lies over it. */
  const touchable = (page: Page, testId: string): Promise<boolean> =>
    page.locator(id(testId)).evaluate((element) => {
      const { left, top, width, height } = element.getBoundingClientRect();
      const inside =
        top >= 0 && top + height <= innerHeight + 1 && left >= 0 && left + width <= innerWidth + 1;
      const over = document.elementFromPoint(left + width / 2, top + height / 2);
      return inside && over !== null && (element.contains(over) || over.contains(element));
    });

  test('that stands shows picture, title, chat and its field at once', async () => {
    const page = await openPage(browser, `${madang.url}/watch/${demo}`, { ...PHONE, init: watchConnections });
    await plays(page);
    for (const part of ['play-toggle', 'title', 'chat-input', 'chat-send'])
      expect(await touchable(page, part), part).toBe(true);
    expect(await page.locator(id('description')).isVisible()).toBe(false);
    await page.click(id('unfold'));
    await page.locator(id('description')).waitFor();
    expect(await touchable(page, 'chat-input')).toBe(true);
    // A keyboard of 400 pixels: what is left is the picture and the field.
    await page.evaluate(() => {
      const seen = window.visualViewport;
      if (seen === null) throw new Error('no visual viewport');
      Object.defineProperty(seen, 'height', { value: 444, configurable: true });
      seen.dispatchEvent(new Event('resize'));
    });
    const { top, bottom } = await page
      .locator(id('chat-input'))
      .evaluate((field) => field.getBoundingClientRect());
    expect(top).toBeGreaterThan(150);
    expect(bottom).toBeLessThanOrEqual(444);
  });

  test('on its side shows the picture, and the chat over it when it is asked for', async () => {
    const page = await openPage(browser, `${madang.url}/watch/${demo}`, {
      ...PHONE_ON_ITS_SIDE,
      init: watchConnections,
    });
    await plays(page);
    const stage = await page.locator(id('player')).boundingBox();
    expect([stage?.x, stage?.y, stage?.width, stage?.height]).toEqual([0, 0, 844, 390]);
    await page.keyboard.press('Shift');
    for (const part of ['play-toggle', 'fullscreen', 'chat-toggle'])
      expect(await touchable(page, part), part).toBe(true);
    expect(await page.locator(id('chat')).isVisible()).toBe(false);
    await page.keyboard.press('Shift');
    await page.click(id('chat-toggle'));
    await page.locator(id('chat')).waitFor();
    expect(await touchable(page, 'chat-input')).toBe(true);
    // The bar goes away by itself; any touch or key brings it back.
    await page.keyboard.press('Shift');
    expect(await touchable(page, 'chat-toggle')).toBe(true);
  });

  test('brings the bar back with a touch that presses nothing, and the next one presses', async () => {
    const page = await openPage(browser, `${madang.url}/watch/${demo}`, { ...PHONE, init: watchConnections });
    await plays(page);
    await eventually('no bar', async () => (await player(page)).idle, 10_000);
    const button = await page.locator(id('play-toggle')).boundingBox();
    const [x, y] = [(button?.x ?? 0) + 20, (button?.y ?? 0) + 20];
    await page.touchscreen.tap(x, y);
    await eventually('a bar', async () => !(await player(page)).idle);
    expect((await player(page)).paused).toBe(false);
    await page.waitForTimeout(600);
    await page.touchscreen.tap(x, y);
    await eventually('a pause', async () => (await player(page)).paused);
  });

  test('dismisses the banner of the development mode, for its tab', async () => {
    const page = await openPage(browser, madang.url, PHONE);
    await page.click(id('dev-banner-dismiss'));
    await page.locator(id('dev-banner')).waitFor({ state: 'detached' });
    await page.reload();
    await page.locator('main').waitFor();
    expect(await page.locator(id('dev-banner')).count()).toBe(0);
  });
});

describe('Home', () => {
  test('has an address for each question, page after page, and goes back', async () => {
    for (let n = 0; n < 8; n += 1) {
      const plan = new Date(Date.now() + (n + 1) * 3_600_000).toISOString();
      await post('/broadcasts', { name: `Planned ${n}`, description: '', planned_at: plan });
    }
    await post('/broadcasts', { name: 'Planned by nobody', description: '' });
    const page = await openPage(browser, madang.url, DESKTOP);
    await page
      .locator(`${id('broadcast-card')}[data-id="${demo}"]`)
      .first()
      .waitFor();
    await page
      .locator(`${id('upcoming')} ${id('broadcast-card')}`)
      .first()
      .waitFor();
    expect(await page.getByText('Planned by nobody').count()).toBe(0);
    await page.click(id('show-upcoming'));
    await eventually('the plans, soonest first', async () => {
      const titles = await page.locator(`${id('broadcasts')} .card-title`).allTextContents();
      return titles.join().startsWith('Planned 0,Planned 1,Planned 2');
    });
    expect(new URL(page.url()).search).toBe('?show=upcoming');
    await page.fill(id('search'), 'Planned 5');
    await eventually('one', async () => (await page.locator(id('broadcast-card')).count()) === 1);
    expect(new URL(page.url()).searchParams.get('q')).toBe('Planned 5');
    await page.goBack();
    await eventually('all of them', async () => (await page.locator(id('broadcast-card')).count()) === 8);
    expect(await page.inputValue(id('search'))).toBe('');
    await page.goForward();
    await eventually('one again', async () => (await page.locator(id('broadcast-card')).count()) === 1);
    expect(await page.inputValue(id('search'))).toBe('Planned 5');
    await page.goto(`${madang.url}/?show=ended&q=nothing+like+it`);
    await page.locator(id('empty-search')).waitFor();
  });

  test('moves nothing while it loads, and asks for nothing that is not there', async () => {
    const missing: string[] = [];
    for (const size of [DESKTOP, PHONE]) {
      for (const path of ['/', `/watch/${demo}`]) {
        const page = await openPage(browser, 'about:blank', { ...size, init: watchShifts });
        page.on('response', (response) => {
          if (response.status() === 404) missing.push(response.url());
        });
        await page.goto(madang.url + path);
        await page.locator(path === '/' ? id('featured') : id('player')).waitFor();
        await page.waitForTimeout(4_000);
        const shifts = await page.evaluate(() => (window as unknown as { __shifts: number }).__shifts);
        console.log(`${path} ${size.viewport?.width}: CLS ${shifts.toFixed(4)}`);
        expect(shifts).toBeLessThan(0.02);
      }
    }
    expect(missing).toEqual([]);
  });
});

describe('a link', () => {
  test('shows its broadcast to who reads no script, and a missing one is 404', async () => {
    const evil = await post('/broadcasts', {
      name: '"><script>alert(1)</script>\u202e',
      description: 'a & b',
    });
    const answer = await fetch(`${madang.url}/watch/${String(evil.id)}`);
    const html = await answer.text();
    expect(answer.status).toBe(200);
    expect(html).toContain('og:title" content="&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"');
    expect(html).toContain('og:description" content="a &amp; b"');
    for (const path of ['/watch/999999', '/embed/999999', '/watch/0', '/watch/x'])
      expect((await fetch(madang.url + path, { headers: { accept: 'text/html' } })).status, path).toBe(404);
    const page = await openPage(browser, `${madang.url}/watch/999999`);
    await page.locator(id('not-found')).waitFor();
  });

  test('has a QR code and a player for other sites', async () => {
    const page = await openPage(browser, `${madang.url}/watch/${demo}`, DESKTOP);
    await page.click(id('share'));
    await page.locator(id('qr')).waitFor();
    expect(await page.inputValue(id('share-link'))).toMatch(new RegExp(`/watch/${demo}$`));
    expect(await page.inputValue(id('share-embed'))).toContain(`/embed/${demo}"`);
  });

  test('of the player plays in the frame of another site, and no other page does', async () => {
    // Another site: a port of its own.
    const site: Server = createServer((request, response) => {
      response.setHeader('content-type', 'text/html');
      const frame = new URL(request.url ?? '/', 'http://any').searchParams.get('frame') ?? '';
      response.end(
        `<!doctype html><iframe allow="autoplay" width="640" height="360" src="${madang.url}${frame}"></iframe>`,
      );
    });
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
    try {
      const other = `http://localhost:${(site.address() as AddressInfo).port}`;
      const page = await openPage(browser, `${other}/?frame=/embed/${demo}`, { init: watchConnections });
      const frame = page.frameLocator('iframe');
      await frame.locator('video[data-place="main"]').waitFor();
      await eventually('frames', () =>
        frame
          .locator('video[data-place="main"]')
          .evaluate((video: HTMLVideoElement) => video.currentTime > 1),
      );
      expect(await frame.locator(id('chat')).count()).toBe(0);
      const refused = await openPage(browser, `${other}/?frame=/watch/${demo}`);
      await refused.waitForTimeout(2_000);
      expect(await refused.frameLocator('iframe').locator(id('watch')).count()).toBe(0);
    } finally {
      site.close();
    }
  });
});

describe('axe finds nothing', () => {
  const source = readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

  async function faults(page: Page): Promise<string[]> {
    // Injected by the debugger, which no policy of the page refuses.
    await page.evaluate(await source);
    return page.evaluate(async () => {
      const { axe } = window as unknown as {
        axe: {
          run(
            context: Document,
            options: object,
          ): Promise<{
            violations: { id: string; nodes: { target: unknown[]; failureSummary?: string }[] }[];
          }>;
        };
      };
      const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
      const rules = { 'label-content-name-mismatch': { enabled: true }, 'target-size': { enabled: true } };
      const { violations } = await axe.run(document, { runOnly: { type: 'tag', values: tags }, rules });
      return violations.flatMap(({ id: rule, nodes }) =>
        nodes.map(({ target, failureSummary }) => `${rule}: ${target.join(' ')} ${failureSummary ?? ''}`),
      );
    });
  }

  for (const [name, size] of [
    ['desktop', DESKTOP],
    ['phone', PHONE],
    ['phone on its side', PHONE_ON_ITS_SIDE],
  ] as const) {
    test.each(SCHEMES)(
      `${name}, %s`,
      async (colorScheme) => {
        const group = await post('/groups', { name: 'Axe' });
        const found: string[] = [];
        for (const [path, ready] of [
          ['/', 'featured'],
          ['/?show=upcoming', 'show-upcoming'],
          ['/?show=ended&q=nothing+like+it', 'empty-search'],
          [`/watch/${demo}`, 'watch'],
          [`/embed/${demo}`, 'embed'],
          ['/watch/999999', 'not-found'],
          ['/studio', 'studio'],
          [`/call/${String(group.id)}`, 'lobby'],
        ] as const) {
          const page = await openPage(browser, madang.url + path, { ...size, colorScheme });
          await page.locator(id(ready)).waitFor();
          await page.waitForTimeout(1_500);
          found.push(...(await faults(page)).map((fault) => `${path}: ${fault}`));
          if (ready === 'watch' && name === 'desktop') {
            await page.click(id('share'));
            await page.locator(id('qr')).waitFor();
            found.push(...(await faults(page)).map((fault) => `share: ${fault}`));
          }
          await page.context().close();
        }
        expect(found).toEqual([]);
      },
      180_000,
    );
  }
});
