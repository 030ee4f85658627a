import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import type { Claps } from '../fixtures/clap';
import { closePages, launchChromium, openPage, watchConnections } from '../harness/browser';
import { blank, openBoard } from '../harness/board';
import { createGroup } from '../harness/callers';
import { Madang } from '../harness/madang';
import { eventually, within } from '../harness/process';
import { script } from '../harness/sdk';
import { Figures, quantile } from './figures';

// Whether the stage shows what is heard: somebody flashes and beeps at once, and the page of another says how much later the
// beep comes than the flash. What the camera and the microphone differ by themselves is measured at their page, with the same
// eye and ear, and taken off.

/** Receivers find their delays before it counts. */
const SETTLE_MS = 10_000;
const WINDOW_MS = 45_000;
const ANSWER_MS = 20_000;
/** A flash and a beep that are further apart are of two claps. */
const SAME_MS = 600;

let madang: Madang;
let browser: Browser;
const figures = new Figures();

beforeAll(async () => {
  [madang, browser] = await Promise.all([Madang.start(), launchChromium()]);
});
afterAll(async () => {
  await figures.save();
  await within('the end of Chromium', ANSWER_MS, browser.close()).catch(console.error);
  await madang.stop();
});
afterEach(closePages(() => browser));

async function opens(): Promise<Page> {
  const viewport = { width: 512, height: 300 };
  const page = await openPage(browser, blank(madang.url), { init: watchConnections, viewport });
  await page.evaluate(await script('e2e/fixtures/clap.ts', 'clap'));
  return page;
}

/** How much later each beep came than its flash, ms. */
function skews({ flashes, beeps }: Claps): number[] {
  return flashes.flatMap((flash) => {
    const [beep] = beeps.filter((one) => Math.abs(one - flash) < SAME_MS);
    return beep === undefined ? [] : [beep - flash];
  });
}

test('lip sync on the stage', { timeout: 150_000 }, async () => {
  const { id: group } = await createGroup(madang.url);
  const speaker = await opens();
  await speaker.evaluate('clap.arm()');
  await openBoard(speaker, { url: madang.url, group }, 'Anna', { sends: true, tiles: 0 });
  const viewer = await opens();
  await openBoard(viewer, { url: madang.url, group }, 'Hugo', { sends: false, tiles: 1 });
  await eventually('the speaker is known', async () => (await viewer.evaluate<string[]>('board.shown()'))[0]);
  await viewer.evaluate(`board.show(['speaker'])`);
  await eventually('a picture on the stage', () =>
    viewer.evaluate(`document.querySelector('video').videoWidth > 0`),
  );

  await speaker.evaluate(`(async () => {
    const { mic, camera } = board.room.me;
    const video = document.createElement('video');
    video.muted = true;
    video.srcObject = new MediaStream([camera.state.get().track]);
    document.body.append(video);
    await video.play();
    window.__stop = await clap.watch(video, [mic.state.get().track]);
  })()`);
  await viewer.evaluate(`(async () => {
    const voices = window.__connections.flatMap((connection) => connection.getReceivers())
      .map(({ track }) => track).filter(({ kind }) => kind === 'audio');
    window.__stop = await clap.watch(document.querySelector('video'), voices);
  })()`);
  await new Promise((wake) => setTimeout(wake, SETTLE_MS + WINDOW_MS));
  const heard = async (page: Page): Promise<number[]> => {
    const settled = (await page.evaluate<number>('performance.now()')) - WINDOW_MS;
    const { flashes, beeps } = await page.evaluate<Claps>('window.__stop()');
    return skews({ flashes: flashes.filter((at) => at > settled), beeps });
  };
  const [made, came] = await Promise.all([heard(speaker), heard(viewer)]);
  console.log(`at the speaker, ms: ${made.map(Math.round).join()}`);
  console.log(`on the stage, ms: ${came.map(Math.round).join()}`);
  expect(Math.min(made.length, came.length)).toBeGreaterThan(WINDOW_MS / 1_500 / 2);
  const own = quantile(made, 0.5);
  figures.add('call_lip_sync_source_ms_p50', own);
  for (const part of [5, 50, 95]) figures.add(`call_lip_sync_ms_p${part}`, quantile(came, part / 100) - own);
});
