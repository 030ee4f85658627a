import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { launchChromium, openPage, received, relayOnly, watchConnections } from './harness/browser';
import { Madang } from './harness/madang';
import { eventually } from './harness/process';

interface Broadcast {
  id: number;
  name: string;
  status: string;
  viewer_count: number;
  started_at: string | null;
  ended_at: string | null;
}

let madang: Madang;
let browser: Browser;

beforeAll(async () => {
  [madang, browser] = await Promise.all([Madang.start(), launchChromium()]);
});
afterAll(async () => {
  await browser.close();
  expect(await madang.stop()).toBe(0);
});
afterEach(async () => {
  await Promise.all(browser.contexts().map((context) => context.close()));
});

const id = (name: string) => `[data-testid="${name}"]`;
const broadcast = async (number: number) =>
  (await (await fetch(`${madang.url}/broadcasts/${number}`)).json()) as Broadcast;

/** Opens Studio and goes live; returns the page and the broadcast that viewers see. */
async function goLive(name: string): Promise<{ studio: Page; number: number }> {
  const studio = await openPage(browser, `${madang.url}/studio`, { init: watchConnections });
  await studio.fill(id('name'), name);
  await studio.click(id('go-live'));
  const link = await studio.locator(id('share-link')).inputValue({ timeout: 20_000 });
  const number = Number(/\/watch\/(\d+)$/.exec(link)?.[1]);
  await eventually('STREAMING', async () => (await broadcast(number)).status === 'STREAMING');
  return { studio, number };
}

const watch = (number: number, init = watchConnections) =>
  openPage(browser, `${madang.url}/watch/${number}`, { init });

async function plays(page: Page, frames = 30): Promise<void> {
  const before = (await received(page)).framesDecoded;
  await eventually('frames decoded', async () => (await received(page)).framesDecoded >= before + frames);
}

async function say(page: Page, text: string): Promise<void> {
  await page.fill(id('chat-input'), text);
  await page.click(id('chat-send'));
}

const said = (page: Page, text: string) =>
  page.locator(id('chat-message'), { hasText: text }).waitFor({ timeout: 10_000 });

async function end(studio: Page): Promise<void> {
  await studio.click(id('end'));
  await studio.click(id('confirm-end'));
}

describe('one broadcast from page to page', () => {
  test('picture, sound, list, counts, chat both ways, end', async () => {
    const home = await openPage(browser, madang.url);
    const { studio, number } = await goLive('A garden at noon');
    const card = home.locator(`${id('broadcast-card')}[data-id="${number}"]`);
    await card.getByText('A garden at noon').waitFor();

    const first = await watch(number);
    await plays(first);
    await eventually('sound', async () => (await received(first)).audioEnergy > 0);
    const second = await watch(number);
    await plays(second);
    await eventually('two viewers', async () => (await broadcast(number)).viewer_count === 2);
    await card.locator(`${id('viewer-count')}[data-count="2"]`).waitFor();
    expect((await received(first)).codec).toMatch(/H264|VP9|VP8/);

    await say(first, 'hello from the audience');
    await said(studio, 'hello from the audience');
    await say(studio, 'welcome <b>everyone</b>');
    await said(first, 'welcome <b>everyone</b>');
    const late = await watch(number);
    await said(late, 'hello from the audience');
    await late.context().close();

    await second.context().close();
    await eventually('one viewer', async () => (await broadcast(number)).viewer_count === 1);

    await end(studio);
    await first.locator(`${id('cover')}[data-kind="ended"]`).waitFor();
    const closed = await eventually('CLOSED', async () => {
      const now = await broadcast(number);
      return now.status === 'CLOSED' && now;
    });
    expect(Date.parse(closed.ended_at ?? '')).toBeGreaterThan(Date.parse(closed.started_at ?? ''));
    await eventually('nobody left', async () => (await broadcast(number)).viewer_count === 0);
  });

  test('a viewer behind a relay', async () => {
    const { studio, number } = await goLive('Through the relay');
    const viewer = await watch(number, relayOnly);
    await plays(viewer);
    expect((await received(viewer)).candidateType).toBe('relay');
    await end(studio);
  });

  test('the publisher reloads and goes on, viewers stay', async () => {
    const { studio, number } = await goLive('Back in a moment');
    const viewer = await watch(number);
    await plays(viewer);
    const connections = () =>
      viewer.evaluate(() => (window as unknown as { __connections: unknown[] }).__connections.length);
    const before = await connections();
    await studio.reload();
    await eventually('live again', async () => (await studio.locator(id('statistics')).count()) > 0);
    await plays(viewer, 60);
    expect(await connections()).toBe(before);
    expect((await broadcast(number)).status).toBe('STREAMING');
    await end(studio);
  });

  test('screen share beside the camera', async () => {
    const { studio, number } = await goLive('Two pictures');
    const viewer = await watch(number);
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
    const page = await watch(987654321);
    await page.getByRole('heading').first().waitFor();
    expect(await page.locator('main').textContent()).toMatch(/not|no /i);
    expect(await page.locator('video').count()).toBe(0);
  });

  test('a wrong stream key', async () => {
    const created = (await (
      await fetch(`${madang.url}/broadcasts`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name: 'Guarded', description: '' }),
      })
    ).json()) as Broadcast & { whip_url: string };
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
    expect((await broadcast(created.id)).status).toBe('READY');
  });

  test('a viewer who comes before the publisher waits and then sees', async () => {
    const created = (await (
      await fetch(`${madang.url}/broadcasts`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name: 'Soon', description: '' }),
      })
    ).json()) as Broadcast & { stream_key: string; whip_url: string };
    const viewer = await watch(created.id);
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
