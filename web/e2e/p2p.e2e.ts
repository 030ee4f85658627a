import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { launchChromium, openPage, received, watchConnections } from './harness/browser';
import { Madang } from './harness/madang';
import { eventually } from './harness/process';
import { serveFixtures } from './harness/static';

interface Broadcast {
  id: number;
  status: string;
  viewer_count: number;
}

// L8, L9, L10: pages written for the original services, from another origin, unchanged.
describe('the original peer-to-peer pages', () => {
  let madang: Madang;
  let browser: Browser;
  let fixtures: Awaited<ReturnType<typeof serveFixtures>>;

  beforeAll(async () => {
    [madang, browser, fixtures] = await Promise.all([Madang.start(), launchChromium(), serveFixtures()]);
  });
  afterAll(async () => {
    await browser.close();
    fixtures.server.close();
    expect(await madang.stop()).toBe(0);
  });

  const room = async (id: number) =>
    (await (await fetch(`${madang.url}/broadcasts/${id}`)).json()) as Broadcast;
  const count = async (id: number) =>
    ((await (await fetch(`${madang.url}/room/${id}/count`)).json()) as { userCount: number }).userCount;

  for (const direct of [false, true]) {
    test(`stream to viewers, offers ${direct ? 'straight to the topic' : 'through /app'}`, async () => {
      const created = await fetch(`${madang.url}/broadcasts`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name: '', description: '' }),
      });
      expect(created.status).toBe(201);
      const { id } = (await created.json()) as Broadcast;
      const query = `room=${id}&broker=${madang.url.replace('http', 'ws')}/streaming&direct=${direct ? 1 : 0}`;

      const streamer = await openPage(browser, `${fixtures.url}/streamer.html?${query}`);
      await eventually('streamer connects', async () => (await streamer.title()) === 'ready');
      await eventually(
        'STREAMING while the streamer is there',
        async () => (await room(id)).status === 'STREAMING',
      );

      const viewers = [];
      for (let n = 1; n <= 2; n += 1) {
        const init = watchConnections;
        const viewer = await openPage(browser, `${fixtures.url}/viewer.html?${query}`, { init });
        await eventually('frames', async () => (await received(viewer)).framesDecoded > 10);
        await eventually('their own data channel', async () =>
          (await viewer.locator('#chat').textContent())?.startsWith('welcome'),
        );
        await eventually(
          `${n} viewers`,
          async () => (await count(id)) === n && (await room(id)).viewer_count === n,
        );
        viewers.push(viewer);
      }
      await viewers[0]?.context().close();
      await eventually(
        'one viewer left',
        async () => (await count(id)) === 1 && (await room(id)).viewer_count === 1,
      );
      await viewers[1]?.context().close();
      await streamer.context().close();
      await eventually('nobody left', async () => (await count(id)) === 0);
    });
  }
});
