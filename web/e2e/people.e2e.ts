import type { Browser } from 'playwright-core';
import type { Browser as Firefox } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { closePages, launchChromium } from './harness/browser';
import { Caller, type Name, createGroup, numberOf, ownerOf } from './harness/callers';
import { launchFirefox, ownAddress } from './harness/firefox';
import { Madang } from './harness/madang';
import { id } from './harness/pages';
import { pitchOf } from './harness/persona';
import { eventually } from './harness/process';

// Four people in a call, one of them with Firefox. Who is seen is read off captured pictures, who is heard from pitches.

/** Whose page is a Firefox: its microphone has one pitch for good. */
const IN_FIREFOX: Name = 'Finn';

let madang: Madang;
let chromium: Browser;
let firefox: Firefox;

beforeAll(async () => {
  [madang, chromium, firefox] = await Promise.all([
    Madang.start(['--public-ip', ownAddress()]),
    launchChromium(),
    launchFirefox(pitchOf(numberOf(IN_FIREFOX))),
  ]);
});
afterAll(async () => {
  await Promise.all([chromium.close(), firefox.close()]);
  expect(await madang.stop()).toBe(0);
});
afterEach(closePages(() => chromium));

/** Everybody sees and hears everybody else, under the right names. */
async function meet(people: readonly Caller[]): Promise<void> {
  for (const one of people) {
    const others = people.filter((other) => other !== one).map(({ name }) => name);
    await one.sees(others);
    await one.hears(others);
  }
}

/** Waits until something is so on all pages, and prints how long that took. */
async function everywhere(
  what: string,
  people: readonly Caller[],
  check: (one: Caller) => Promise<boolean>,
): Promise<void> {
  const from = Date.now();
  for (const one of people) await eventually(`${what} on the page of ${one.name}`, () => check(one));
  console.log(`${what}: on all pages after ${Date.now() - from} ms`);
}

// Four browsers on two cores that do other things too.
const TIMEOUT_MS = 300_000;

test(
  'everybody sees and hears everybody, and the pages say what is true',
  async () => {
    const { id: group, owner_key: key } = await createGroup(madang.url);
    const url = `${madang.url}/call/${group}`;
    const small = { height: 180, fps: 5 };
    const anna = await Caller.join(chromium, url, 'Anna', { ...small, init: ownerOf(group, key) });
    const bert = await Caller.join(chromium, url, 'Bert', small);
    const cleo = await Caller.join(chromium, url, 'Cleo', small);
    const finn = await Caller.join(firefox, url, IN_FIREFOX, small);
    const all = [anna, bert, cleo, finn];
    await meet(all);

    // A microphone of one's own.
    await cleo.click('call-microphone');
    await everywhere('Cleo is muted', all, (one) => one.isMuted('Cleo'));
    await anna.hears(['Bert', IN_FIREFOX]);
    await finn.hears(['Anna', 'Bert']);
    await cleo.click('call-microphone');
    await everywhere('Cleo speaks', all, async (one) => !(await one.isMuted('Cleo')));
    await anna.hears(['Bert', 'Cleo', IN_FIREFOX]);

    // A camera of one's own, in both browsers.
    for (const [one, other] of [
      [bert, finn],
      [finn, bert],
    ] as const) {
      await one.click('call-camera');
      await other.sees(
        all.map(({ name }) => name).filter((name) => name !== other.name && name !== one.name),
      );
      await one.click('call-camera');
      await other.sees(all.map(({ name }) => name).filter((name) => name !== other.name));
    }

    // A screen beside the camera: each ends alone.
    await bert.click('call-screen');
    for (const one of [anna, finn]) await one.seesScreen('Bert');
    await bert.click('call-camera');
    await anna.looks('the camera of Bert is off, its screen on', 30_000, ({ tiles }) => {
      const ofBert = tiles
        .filter(({ shows }) => shows?.person === bert.number)
        .map(({ shows }) => shows?.source);
      return ofBert.join() === 'screen';
    });
    await bert.click('call-camera');
    await bert.persona((persona) => persona.endScreens(), null);
    for (const one of [anna, finn]) await one.seesScreen('Bert', false);
    await meet(all);
  },
  TIMEOUT_MS,
);

test(
  'moderators mute, take rights, lock and remove, and every page shows it',
  async () => {
    const { id: group, owner_key: key } = await createGroup(madang.url);
    const url = `${madang.url}/call/${group}`;
    const small = { height: 180, fps: 5 };
    const anna = await Caller.join(chromium, url, 'Anna', { ...small, init: ownerOf(group, key) });
    const bert = await Caller.join(chromium, url, 'Bert', small);
    const finn = await Caller.join(firefox, url, IN_FIREFOX, small);
    const all = [anna, bert, finn];
    await meet(all);

    await anna.moderates('Bert', 'person-mute');
    await everywhere('Bert is muted', all, (one) => one.isMuted('Bert'));
    await finn.hears(['Anna']);
    await anna.hears([IN_FIREFOX]);
    // Muted, not forbidden: Bert speaks again when he wants to.
    await bert.click('call-microphone');
    await everywhere('Bert speaks', all, async (one) => !(await one.isMuted('Bert')));
    await finn.hears(['Anna', 'Bert']);

    await anna.moderates('Bert', 'right-camera');
    await finn.sees(['Anna']);
    await bert
      .press(
        `${id('call-camera')}[data-state="blocked"], ${id('call-camera')}:disabled, ${id('call-camera')}`,
      )
      .catch(() => undefined);
    await finn.sees(['Anna']);
    await anna.moderates('Bert', 'right-camera');
    await eventually(
      'Bert may use the camera again',
      async () => {
        await bert.click('call-camera').catch(() => undefined);
        return finn.sees(['Anna', 'Bert'], 5_000);
      },
      40_000,
    );

    await anna.opens('people');
    await anna.click('people-lock');
    await expect(Caller.join(chromium, url, 'Dora', small, 8_000)).rejects.toThrow();
    await anna.click('people-lock');
    const dora = await Caller.join(chromium, url, 'Dora', small, 60_000);
    await anna.sees(['Bert', 'Dora', IN_FIREFOX]);

    await anna.moderates('Dora', 'person-remove');
    await anna.click('confirm-end');
    await dora.page.waitForSelector(id('call-failed'));
    await finn.sees(['Anna', 'Bert']);
    await everywhere('Dora is gone', all, async (one) => (await one.present()).length === 3);
    // The same page does not come in again.
    await dora.chromium?.reload();
    await expect(dora.enter(8_000)).rejects.toThrow();
    await everywhere('Dora is gone', all, async (one) => (await one.present()).length === 3);
  },
  TIMEOUT_MS,
);
