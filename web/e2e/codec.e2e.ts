import type { Browser } from 'playwright-core';
import type { Browser as Firefox } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { closePages, launchChromium } from './harness/browser';
import { Caller, createGroup, numberOf, type Name } from './harness/callers';
import { launchFirefox, ownAddress } from './harness/firefox';
import { Madang } from './harness/madang';
import { pitchOf } from './harness/persona';
import { eventually } from './harness/process';

// In which codec pictures of a call are sent: in one that everybody there decodes, whoever comes and goes. Firefox as
// Debian builds it decodes no H.264.

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

/** The codecs of pictures that a page sends and receives now: of streams that had a frame in the last half second. */
async function codecs({ page }: Caller): Promise<{ sent: string[]; received: string[] }> {
  const look = `(async () => {
    const read = async () => {
      const frames = new Map();
      for (const connection of window.__connections) {
        if (connection.connectionState !== 'connected') continue;
        const report = await connection.getStats();
        report.forEach((entry) => {
          const way = entry.type === 'outbound-rtp' ? 'sent' : entry.type === 'inbound-rtp' ? 'received' : null;
          if (way === null || entry.kind !== 'video') return;
          const codec = report.get(entry.codecId)?.mimeType?.replace('video/', '');
          frames.set(entry.id, { way, codec, count: entry.framesEncoded ?? entry.framesDecoded ?? 0 });
        });
      }
      return frames;
    };
    const before = await read();
    await new Promise((wake) => setTimeout(wake, 500));
    const now = { sent: new Set(), received: new Set() };
    for (const [id, { way, codec, count }] of await read())
      if (count > (before.get(id)?.count ?? 0)) now[way].add(codec);
    return { sent: [...now.sent].sort(), received: [...now.received].sort() };
  })()`;
  return (await page.evaluate(look)) as { sent: string[]; received: string[] };
}

async function allSendAndReceive(
  people: readonly Caller[],
  codec: string,
  timeoutMs = 20_000,
): Promise<void> {
  for (const one of people) {
    await eventually(
      `${one.name} sends and receives ${codec} alone`,
      async () => {
        const now = await codecs(one);
        if (now.sent.join() !== codec || now.received.join() !== codec) throw new Error(JSON.stringify(now));
        return true;
      },
      timeoutMs,
    );
  }
}

/** Whether a page and the server agreed that packets say the layers of their frames, on both connections. */
async function describesLayers({ page }: Caller): Promise<boolean> {
  const look = `window.__connections.filter(({ connectionState }) => connectionState === 'connected')
    .every(({ currentRemoteDescription }) => currentRemoteDescription.sdp.includes('dependency-descriptor'))`;
  return (await page.evaluate(look)) === true;
}

async function everybodySees(people: readonly Caller[]): Promise<void> {
  for (const one of people) await one.sees(people.filter((other) => other !== one).map(({ name }) => name));
}

test('H.264 while everybody decodes it, VP8 as soon as somebody comes who does not, and back', async () => {
  const { id: group } = await createGroup(madang.url);
  const url = `${madang.url}/call/${group}`;
  const small = { height: 180, fps: 5 };
  const anna = await Caller.join(chromium, url, 'Anna', small);
  const bert = await Caller.join(chromium, url, 'Bert', small);
  const two = [anna, bert];
  await everybodySees(two);
  await allSendAndReceive(two, 'H264');
  expect(await Promise.all(two.map(describesLayers))).toEqual([true, true]);

  const finn = await Caller.join(firefox, url, IN_FIREFOX, small);
  const three = [...two, finn];
  await everybodySees(three);
  await allSendAndReceive(three, 'VP8');

  // Who comes meanwhile begins in what the others send.
  const cleo = await Caller.join(chromium, url, 'Cleo', small);
  await everybodySees([...three, cleo]);
  await allSendAndReceive([...three, cleo], 'VP8');

  await finn.click('call-leave');
  await finn.close();
  const left = [...two, cleo];
  await everybodySees(left);
  await allSendAndReceive(left, 'VP8');
  await allSendAndReceive(left, 'H264', 60_000);
  await everybodySees(left);
}, 300_000);
