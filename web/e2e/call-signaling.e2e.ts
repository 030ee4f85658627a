import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { closePages, launchChromium } from './harness/browser';
import { Caller, createGroup } from './harness/callers';
import { Film } from './harness/film';
import { eventually } from './harness/process';
import { Services } from './harness/services';
import { cuttableSockets } from './harness/sockets';

// Names, chat and commands are away, for one page or for all; pictures and sound go on, and then everybody knows the same.

/** How long the signaling process is away, ms. */
const AWAY_MS = 30_000;

let services: Services;
let browser: Browser;

beforeAll(async () => {
  [services, browser] = await Promise.all([Services.start(), launchChromium()]);
});
afterAll(async () => {
  await browser.close();
  expect(await services.stop()).toBe(0);
});
afterEach(closePages(() => browser));

test('media goes on without signaling, and afterwards everybody knows the same', async () => {
  const { id: group } = await createGroup(services.url);
  const url = `${services.url}/call/${group}`;
  const anna = await Caller.join(browser, url, 'Anna', { height: 180, fps: 5, init: cuttableSockets });
  const bert = await Caller.join(browser, url, 'Bert', { height: 180, fps: 5 });
  await anna.sees(['Bert']);
  await bert.sees(['Anna']);
  const present = await anna.present();
  const clocks = new Set<number>();
  const wrong: string[] = [];
  if (anna.chromium === null) throw new Error('only Chromium is filmed');
  const film = await Film.start(anna.chromium, ({ tiles }) => {
    for (const { says, shows } of tiles) {
      if (shows?.person === bert.number) clocks.add(shows.clock);
      if (shows !== null && says !== shows.person) wrong.push(`${says} is said of ${shows.person}`);
    }
  });
  const moves = async (what: string): Promise<void> => {
    const before = clocks.size;
    await eventually(`Anna sees Bert move ${what}`, () => clocks.size > before + 10);
    await anna.hears(['Bert']);
    expect(await anna.state(), what).toBe('connected');
    expect(wrong, what).toEqual([]);
  };
  const equal = async (what: string, lines: string[]): Promise<void> => {
    for (const one of [anna, bert]) {
      await eventually(
        `${one.name} has every line ${what}`,
        async () => {
          const chat = await one.chat();
          const missing = lines.filter((line) => chat.filter((text) => text.includes(line)).length !== 1);
          if (missing.length > 0) throw new Error(`${missing.join(', ')} in ${chat.join(' | ')}`);
          return true;
        },
        60_000,
      );
      expect(await one.present(), what).toEqual(present);
    }
  };

  // One page's WebSocket alone, without a word.
  await anna.page.evaluate('window.__sockets.cut()');
  await bert.says('unread by Anna');
  await moves('without its WebSocket');
  await bert.click('call-camera');
  await anna.says('kept by Anna');
  // No line of the world loses messages and goes on: what is healed before anybody noticed would.
  await eventually(
    'the page looks for another way',
    async () => Number(await anna.page.evaluate('window.__sockets.tries()')) > 0,
    30_000,
  );
  await anna.page.evaluate('window.__sockets.heal()');
  await equal('after its WebSocket was cut', ['unread by Anna', 'kept by Anna']);
  await anna.sees([]);
  await bert.click('call-camera');
  await anna.sees(['Bert']);

  // The process, for everybody.
  const killed = Date.now();
  await services.kill('signaling-service');
  await bert.says('into nothing');
  await moves('without signaling');
  await eventually('half of it is over', () => Date.now() - killed > AWAY_MS / 2, AWAY_MS);
  await moves('still');
  await bert.click('call-microphone');
  await eventually('it is away long enough', () => Date.now() - killed > AWAY_MS, AWAY_MS);
  await services.restart('signaling-service');
  await equal('after signaling was away', ['into nothing']);
  await eventually('Bert is muted on both pages', async () => {
    const marks = await Promise.all([anna.isMuted('Bert'), bert.isMuted('Bert')]);
    return marks.every(Boolean);
  });
  await anna.hears([]);
  await film.stop();
}, 240_000);
