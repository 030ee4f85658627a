import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { closePages, launchChromium } from './harness/browser';
import { Caller, createGroup, ownerOf } from './harness/callers';
import { id } from './harness/pages';
import { eventually } from './harness/process';
import { Services } from './harness/services';

// The home of a call dies without a word, and what starts in its place knows nothing: pages come back by themselves, and
// what moderators have decided holds.

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

test('the media server dies under a call, and the call is back with all that was decided', async () => {
  const { id: group, owner_key: key } = await createGroup(services.url);
  const url = `${services.url}/call/${group}`;
  const small = { height: 180, fps: 5 };
  const anna = await Caller.join(browser, url, 'Anna', { ...small, init: ownerOf(group, key) });
  const bert = await Caller.join(browser, url, 'Bert', small);
  const cleo = await Caller.join(browser, url, 'Cleo', small);
  const dora = await Caller.join(browser, url, 'Dora', small);
  await anna.sees(['Bert', 'Cleo', 'Dora']);

  // Bert may show no camera any more, Dora is out, and nobody new comes in.
  await anna.moderates('Bert', 'right-camera');
  await anna.moderates('Dora', 'person-remove');
  await anna.click('confirm-end');
  await dora.page.waitForSelector(id('call-failed'));
  await anna.opens('people');
  await anna.click('people-lock');
  await anna.sees(['Cleo']);

  const killed = Date.now();
  await services.kill('sfu-service');
  for (const one of [anna, bert, cleo]) await one.is('reconnecting', 20_000);
  await services.restart('sfu-service');
  for (const one of [anna, bert, cleo]) {
    await one.is('connected', 60_000);
    console.log(`${one.name} is back after ${Date.now() - killed} ms`);
  }
  await anna.sees(['Cleo'], 40_000);
  await cleo.sees(['Anna'], 40_000);
  await bert.sees(['Anna', 'Cleo'], 40_000);
  await anna.hears(['Bert', 'Cleo']);
  for (const one of [anna, bert, cleo]) {
    await eventually(`three on the page of ${one.name}`, async () => (await one.present()).length === 3);
  }

  // Who was removed stays out, and so does who is new.
  await dora.chromium?.reload();
  await expect(dora.enter(8_000)).rejects.toThrow();
  await expect(Caller.join(browser, url, 'Emil', small, 8_000)).rejects.toThrow();
  await anna.sees(['Cleo']);
  // What was taken is given back in the room as it is now.
  await anna.moderates('Bert', 'right-camera');
  await eventually(
    'Bert may use the camera again',
    async () => {
      await bert.click('call-camera').catch(() => undefined);
      return anna.sees(['Bert', 'Cleo'], 5_000);
    },
    60_000,
  );
}, 300_000);
