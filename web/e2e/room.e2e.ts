import type { Browser, Page, WebSocketRoute } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { closePages, launchChromium } from './harness/browser';
import { Madang } from './harness/madang';
import { eventually } from './harness/process';
import { openSdkPage, type RoomWindow } from './harness/sdk';

let madang: Madang;
let browser: Browser;

beforeAll(async () => {
  [madang, browser] = await Promise.all([Madang.start(), launchChromium()]);
});
afterAll(async () => {
  await browser.close();
  expect(await madang.stop()).toBe(0);
});
afterEach(closePages(() => browser));

interface Group {
  id: string;
  owner_key: string;
}

async function post<T>(path: string, body: object, bearer?: string): Promise<T> {
  const response = await fetch(madang.url + path, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
    },
    body: JSON.stringify(body),
  });
  return (await response.json()) as T;
}

async function group(): Promise<Group> {
  return post<Group>('/groups', { name: '' });
}

/** A page that has joined, with a view of the camera of everybody else, named by `data-of`. */
async function join(
  { id, owner_key }: Group,
  name: string,
  asOwner = false,
  before?: (page: Page) => Promise<void>,
): Promise<Page> {
  const { token } = await post<{ token: string }>(
    `/groups/${id}/token`,
    { name },
    asOwner ? owner_key : undefined,
  );
  const page = await openSdkPage(browser, madang.url, before === undefined ? {} : { before });
  await page.evaluate(async (token) => {
    // What is shared is a drawing: there is no screen here.
    navigator.mediaDevices.getDisplayMedia = () => {
      const canvas = document.createElement('canvas');
      Object.assign(canvas, { width: 1280, height: 720 });
      const pen = canvas.getContext('2d');
      setInterval(() => pen?.fillRect(Math.random() * 1_280, Math.random() * 720, 40, 40), 100);
      return Promise.resolve(canvas.captureStream(10));
    };
    const own = window as unknown as RoomWindow;
    const room = await own.sdk.joinRoom('', token, { mic: true, camera: true });
    own.room = room;
    const seen = new Set<string>();
    const look = (): void => {
      for (const person of room.people.get().values()) {
        if (seen.has(person.participant)) continue;
        seen.add(person.participant);
        for (const source of ['camera', 'screen'] as const) {
          const el = document.body.appendChild(document.createElement('video'));
          el.dataset.of = `${person.name} ${source}`;
          el.style.width = '320px';
          el.style.height = '180px';
          const view = room.view({ participant: person.participant, source }, { el });
          const show = (): string => (el.dataset.state = view.state.get().state);
          view.state.subscribe(show);
          show();
        }
      }
    };
    room.people.subscribe(look);
    look();
  }, token);
  await eventually(`${name} is in`, () => inRoom(page, (room) => room.state.get().call === 'connected'));
  return page;
}

function inRoom<T>(page: Page, read: (room: RoomWindow['room']) => T | Promise<T>): Promise<T> {
  return page.evaluate<T>(`(${read.toString()})(window.room)`);
}

async function shows(page: Page, name: string, state = 'shown', source = 'camera'): Promise<void> {
  const view = page.locator(`video[data-of="${name} ${source}"][data-state="${state}"]`);
  await view.waitFor({ state: 'attached', timeout: 15_000 });
}

/** What `page` is told of the microphone of somebody. */
async function says(page: Page, name: string, source: string, state: string): Promise<void> {
  await eventually(`${name}: ${source} is ${state}`, () =>
    page.evaluate(
      ([name, source, state]) => {
        const { room } = window as unknown as RoomWindow;
        const person = [...room.people.get().values()].find((one) => one.name === name);
        return person?.sources.find((own) => own.source === source)?.state === state;
      },
      [name, source, state],
    ),
  );
}

test('two pages see each other, and the room says what each of them sends', async () => {
  const place = await group();
  const anna = await join(place, 'Anna', true);
  const bert = await join(place, 'Bert');
  await Promise.all([shows(anna, 'Bert'), shows(bert, 'Anna'), shows(anna, 'Anna')]);
  await Promise.all([says(anna, 'Bert', 'microphone', 'on'), says(bert, 'Anna', 'camera', 'on')]);

  await inRoom(bert, (room) => room.me.camera.off());
  await says(anna, 'Bert', 'camera', 'off');
  await shows(anna, 'Bert', 'off');
  await inRoom(bert, (room) => room.me.camera.on());
  await Promise.all([shows(anna, 'Bert'), shows(bert, 'Bert')]);

  // A moderator mutes: it is off, and said so; who was muted may speak again.
  expect(
    await inRoom(anna, async (room) => {
      const bert = [...room.people.get().values()].find(({ name }) => name === 'Bert');
      return (await room.moderate.mute(bert?.participant ?? '')).sent;
    }),
  ).toBe(true);
  await eventually('Bert is muted', () =>
    inRoom(bert, (room) => room.me.mic.state.get().state === 'blocked'),
  );
  await says(anna, 'Bert', 'microphone', 'muted');
  await inRoom(bert, (room) => room.me.mic.on());
  await says(anna, 'Bert', 'microphone', 'on');
  await eventually('it is on', () => inRoom(bert, (room) => room.me.mic.state.get().state === 'on'));

  await inRoom(anna, (room) => void room.chat.send('hello'));
  await eventually('a line', () =>
    inRoom(bert, (room) =>
      room.chat.messages.get().some(({ text, name }) => text === 'hello' && name === 'Anna'),
    ),
  );
  await inRoom(bert, (room) => room.leave());
  await eventually('Bert is gone', () => inRoom(anna, (room) => room.people.get().size === 1));
});

test('a screen is there beside the camera, and gone without it', async () => {
  const place = await group();
  const anna = await join(place, 'Anna');
  const bert = await join(place, 'Bert');
  await Promise.all([shows(anna, 'Bert'), shows(anna, 'Bert', 'off', 'screen')]);
  await inRoom(bert, (room) => room.me.screen.share({ audio: true }));
  await Promise.all([shows(anna, 'Bert', 'shown', 'screen'), shows(bert, 'Bert', 'shown', 'screen')]);
  // Its size is kept, whatever it is encoded as.
  await eventually('the whole screen', () =>
    anna.evaluate(() => {
      return document.querySelector<HTMLVideoElement>('video[data-of="Bert screen"]')?.videoHeight === 720;
    }),
  );
  expect(await inRoom(bert, (room) => room.me.screen.state.get().audio)).toBe('without');
  await inRoom(bert, (room) => room.me.screen.stop());
  await Promise.all([shows(anna, 'Bert', 'off', 'screen'), shows(anna, 'Bert')]);
  await says(anna, 'Bert', 'screen', 'off');
  await says(anna, 'Bert', 'camera', 'on');
});

test('media goes on while signaling is away, and then everybody knows the same', async () => {
  const place = await group();
  const anna = await join(place, 'Anna', true);
  let isAway = false;
  const lines = new Set<WebSocketRoute>();
  const bert = await join(place, 'Bert', false, async (page) => {
    await page.routeWebSocket('**/streaming', (line) => {
      if (isAway) {
        void line.close();
        return;
      }
      lines.add(line);
      line.connectToServer();
    });
  });
  await Promise.all([shows(anna, 'Bert'), shows(bert, 'Anna'), says(anna, 'Bert', 'microphone', 'on')]);
  isAway = true;
  await Promise.all([...lines].map((line) => line.close()));
  await eventually('signaling is away', () => inRoom(bert, (room) => room.state.get().signaling === 'lost'));

  await inRoom(bert, (room) => room.me.mic.off());
  await inRoom(anna, (room) => room.me.hand(true));
  await inRoom(bert, (room) => void room.chat.send('while away'));
  const frames = (): Promise<number> =>
    bert.evaluate(() => {
      const el = document.querySelector<HTMLVideoElement>('video[data-of="Anna camera"]');
      return el?.getVideoPlaybackQuality().totalVideoFrames ?? 0;
    });
  const before = await frames();
  await eventually('the picture goes on', async () => (await frames()) > before + 20);
  expect(await inRoom(bert, (room) => room.state.get().call)).toBe('connected');
  expect(await inRoom(anna, (room) => room.chat.messages.get().length)).toBe(0);

  isAway = false;
  await says(anna, 'Bert', 'microphone', 'off');
  const known = (page: Page): Promise<string> =>
    inRoom(page, (room) => JSON.stringify([...room.people.get().values()]));
  await eventually('both know the same', async () => {
    const [one, other] = await Promise.all([known(anna), known(bert)]);
    return one === other && /"hand":[1-9]/.test(one);
  });
  await eventually('the line is there once', () =>
    inRoom(anna, (room) => room.chat.messages.get().filter(({ text }) => text === 'while away').length === 1),
  );
});
