import type { Browser } from 'playwright-core';
import type { Browser as Firefox } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { closePages, launchChromium } from './harness/browser';
import { Caller, type Name, createGroup, numberOf } from './harness/callers';
import { launchFirefox, ownAddress } from './harness/firefox';
import { Madang } from './harness/madang';
import { pitchOf } from './harness/persona';

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

test('everybody sees and hears everybody, and nobody itself', async () => {
  const { id: group } = await createGroup(madang.url);
  const url = `${madang.url}/call/${group}`;
  const small = { height: 180 };
  const people = [
    await Caller.join(chromium, url, 'Anna', small),
    await Caller.join(chromium, url, 'Bert', small),
    await Caller.join(chromium, url, 'Cleo', small),
    await Caller.join(firefox, url, IN_FIREFOX, small),
  ];
  await meet(people);
});
