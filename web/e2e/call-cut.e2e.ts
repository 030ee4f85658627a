import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { closePages, openPage } from './harness/browser';
import { Caller } from './harness/callers';
import { Lab } from './harness/lab';
import { id } from './harness/pages';
import { eventually } from './harness/process';

// The line of one of three people in a call is cut and comes back; the others and the server are at its other end.

/** How long it is cut, ms. */
const CUTS = [3_000, 12_000, 25_000];
const LINE = { delay: 20, loss: 0 };

let lab: Lab;

beforeAll(async () => {
  lab = await Lab.wire();
});
afterAll(() => lab.close());
afterEach(closePages(() => lab.browser));

test('whoever was cut off is the same person again, sees and hears everybody, and has missed no line', async () => {
  lab.set(LINE);
  const { browser } = await lab.pagesAtServer();
  const home = await openPage(browser, lab.url);
  await home.click(id('call-start'));
  await home.waitForURL(/\/call\/grp_/);
  const url = home.url();
  await home.context().close();
  const small = { height: 180, fps: 5 };
  const bert = await Caller.join(browser, url, 'Bert', small);
  const cleo = await Caller.join(browser, url, 'Cleo', small);
  const anna = await Caller.join(lab.browser, url, 'Anna', small);
  const all = [anna, bert, cleo];
  const meet = async (): Promise<void> => {
    await anna.sees(['Bert', 'Cleo']);
    await bert.sees(['Anna', 'Cleo']);
    await cleo.sees(['Anna', 'Bert']);
    await anna.hears(['Bert', 'Cleo']);
    await bert.hears(['Anna', 'Cleo']);
  };
  await meet();
  const who = await bert.participant('Anna');
  const present = await anna.present();
  expect(present).toHaveLength(3);
  await anna.page.evaluate('window.__sameDocument = true');
  const lines: string[] = [];

  for (const cutMs of CUTS) {
    const cut = Date.now();
    lab.set({ ...LINE, loss: 100 });
    await bert.says(`said while ${cutMs} ms were cut`);
    await anna.says(`typed in ${cutMs} ms of silence`);
    lines.push(`said while ${cutMs}`, `typed in ${cutMs}`);
    await eventually('the cut is over', () => Date.now() - cut >= cutMs, cutMs + 5_000);

    const healed = Date.now();
    lab.set(LINE);
    await anna.is('connected', 60_000);
    await anna.sees(['Bert', 'Cleo'], 60_000);
    console.log(
      `after ${cutMs} ms: everybody is seen again ${Date.now() - healed} ms after the line was back`,
    );
    await meet();
    for (const one of all) {
      await eventually(
        `${one.name} has every line once`,
        async () => {
          const chat = await one.chat();
          const wrong = lines.filter((line) => chat.filter((text) => text.includes(line)).length !== 1);
          if (wrong.length > 0) throw new Error(`${wrong.join(', ')} in ${chat.join(' | ')}`);
          return true;
        },
        40_000,
      );
      // Nobody is there twice, and nobody else.
      expect(await one.present(), `${one.name} after ${cutMs} ms`).toEqual(present);
    }
    const order = async (one: Caller): Promise<(string | undefined)[]> =>
      (await one.chat()).map((text) => lines.find((line) => text.includes(line)));
    expect(await order(anna)).toEqual(await order(bert));
    expect(await bert.participant('Anna')).toBe(who);
    expect(await anna.page.evaluate('window.__sameDocument')).toBe(true);
  }
}, 300_000);
