import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { closePages, launchChromium, openPage, received, relayOnly } from './harness/browser';
import { Madang } from './harness/madang';
import { Pages, end, id, plays, said, say } from './harness/pages';
import { eventually } from './harness/process';

let madang: Madang;
let browser: Browser;
let pages: Pages;

beforeAll(async () => {
  [madang, browser] = await Promise.all([Madang.start(), launchChromium()]);
  pages = new Pages(browser, madang.url);
});
afterAll(async () => {
  await browser.close();
  expect(await madang.stop()).toBe(0);
});
afterEach(closePages(() => browser));

/** Cameras and microphones that answer only when they are told to, as behind a permission prompt. */
const slowDevices = `(() => {
  const told = new Promise((tell) => { window.__letDevicesAnswer = tell; });
  const native = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = (constraints) => told.then(() => native(constraints));
})();`;

describe('one broadcast from page to page', () => {
  test('picture, sound, list, counts, chat both ways, end', async () => {
    const home = await openPage(browser, madang.url);
    const { studio, number } = await pages.goLive('A garden at noon');
    const card = home.locator(`${id('broadcast-card')}[data-id="${number}"]`);
    await card.getByText('A garden at noon').waitFor();

    const first = await pages.watch(number);
    await plays(first);
    await eventually('sound', async () => (await received(first)).audioEnergy > 0);
    const second = await pages.watch(number);
    await plays(second);
    await eventually('two viewers', async () => (await pages.broadcast(number)).viewer_count === 2);
    await card.locator(`${id('viewer-count')}[data-count="2"]`).waitFor();
    expect((await received(first)).codec).toMatch(/H264|VP9|VP8/);

    await say(first, 'hello from the audience');
    await said(studio, 'hello from the audience');
    await say(studio, 'welcome <b>everyone</b>');
    await said(first, 'welcome <b>everyone</b>');
    const late = await pages.watch(number);
    await said(late, 'hello from the audience');
    await late.context().close();

    await second.context().close();
    await eventually('one viewer', async () => (await pages.broadcast(number)).viewer_count === 1);

    await end(studio);
    await first.locator(`${id('cover')}[data-kind="ended"]`).waitFor();
    const closed = await eventually('CLOSED', async () => {
      const now = await pages.broadcast(number);
      return now.status === 'CLOSED' && now;
    });
    expect(Date.parse(closed.ended_at ?? '')).toBeGreaterThan(Date.parse(closed.started_at ?? ''));
    await eventually('nobody left', async () => (await pages.broadcast(number)).viewer_count === 0);
  });

  test('live with one click, also before the camera has answered', async () => {
    const studio = await openPage(browser, `${madang.url}/studio`, { init: slowDevices });
    await studio.fill(id('name'), 'Patience');
    await studio.click(id('go-live'));
    await studio.locator(id('starting')).waitFor();
    expect(await studio.locator(id('studio-problem')).count()).toBe(0);
    await studio.evaluate(() => (window as unknown as { __letDevicesAnswer(): void }).__letDevicesAnswer());
    await studio.locator(id('share-link')).waitFor();
    await studio.locator(id('statistics')).waitFor();
    await end(studio);
  });

  test('a viewer behind a relay', async () => {
    const { studio, number } = await pages.goLive('Through the relay');
    const viewer = await pages.watch(number, relayOnly);
    await plays(viewer);
    expect((await received(viewer)).candidateType).toBe('relay');
    await end(studio);
  });

  test('the publisher reloads and goes on, viewers stay', async () => {
    const { studio, number } = await pages.goLive('Back in a moment');
    const viewer = await pages.watch(number);
    await plays(viewer);
    const connections = () =>
      viewer.evaluate(() => (window as unknown as { __connections: unknown[] }).__connections.length);
    const before = await connections();
    await studio.reload();
    await eventually('live again', async () => (await studio.locator(id('statistics')).count()) > 0);
    await plays(viewer, 60);
    expect(await connections()).toBe(before);
    expect((await pages.broadcast(number)).status).toBe('STREAMING');
    await end(studio);
  });

  test('screen share beside the camera', async () => {
    const { studio, number } = await pages.goLive('Two pictures');
    const viewer = await pages.watch(number);
    await plays(viewer);
    await studio.getByRole('button', { name: 'Share screen' }).click();
    const width = (testId: string) =>
      viewer.locator(id(testId)).evaluate((video) => (video as HTMLVideoElement).videoWidth);
    await eventually('screen', async () => (await width('video-screen')) > 0, 30_000);
    await studio.getByRole('button', { name: 'Stop sharing' }).click();
    await plays(viewer);
    expect(await width('video-camera')).toBeGreaterThan(0);
    await end(studio);
  });
});

describe('what goes wrong is said in words', () => {
  test('a broadcast that is not there', async () => {
    const page = await pages.watch(987654321);
    await page.getByRole('heading').first().waitFor();
    expect(await page.locator('main').textContent()).toMatch(/not|no /i);
    expect(await page.locator('video').count()).toBe(0);
  });

  test('a wrong stream key', async () => {
    const created = await pages.create('Guarded');
    const page = await openPage(browser, madang.url);
    const answer = await page.evaluate(async (url) => {
      const connection = new RTCPeerConnection();
      connection.addTransceiver('audio', { direction: 'sendonly' });
      const offer = await connection.createOffer();
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/sdp', authorization: 'Bearer sk_0000000000000000000000' },
        body: offer.sdp ?? '',
      });
      return { status: response.status, type: response.headers.get('content-type') };
    }, created.whip_url);
    expect(answer).toEqual({ status: 401, type: 'application/problem+json' });
    expect((await pages.broadcast(created.id)).status).toBe('READY');
  });

  test('a viewer who comes before the publisher waits and then sees', async () => {
    const created = await pages.create('Soon');
    const viewer = await pages.watch(created.id);
    await viewer.locator(`${id('cover')}[data-kind="not-started"]`).waitFor();
    const publisher = await openPage(browser, madang.url);
    await publisher.evaluate(
      async ([url, key]) => {
        const connection = new RTCPeerConnection();
        const media = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
        media.getTracks().forEach((track) => connection.addTrack(track, media));
        await connection.setLocalDescription();
        await new Promise<void>((done) => {
          if (connection.iceGatheringState === 'complete') done();
          connection.onicegatheringstatechange = () => connection.iceGatheringState === 'complete' && done();
        });
        const response = await fetch(url ?? '', {
          method: 'POST',
          headers: { 'content-type': 'application/sdp', authorization: `Bearer ${key}` },
          body: connection.localDescription?.sdp ?? '',
        });
        await connection.setRemoteDescription({ type: 'answer', sdp: await response.text() });
      },
      [created.whip_url, created.stream_key],
    );
    await plays(viewer);
  });
});
