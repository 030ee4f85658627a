import type { Browser, Page } from 'playwright-core';
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
async function join({ id, owner_key }: Group, name: string, asOwner = false): Promise<Page> {
  const { token } = await post<{ token: string }>(
    `/groups/${id}/token`,
    { name },
    asOwner ? owner_key : undefined,
  );
  const page = await openSdkPage(browser, madang.url);
  await page.evaluate(async (token) => {
    const own = window as unknown as RoomWindow;
    const room = await own.sdk.joinRoom('', token, { mic: true, camera: true });
    own.room = room;
    const seen = new Set<string>();
    const look = (): void => {
      for (const person of room.people.get().values()) {
        if (seen.has(person.participant)) continue;
        seen.add(person.participant);
        const el = document.body.appendChild(document.createElement('video'));
        el.dataset.of = person.name;
        el.style.width = '320px';
        el.style.height = '180px';
        const view = room.view({ participant: person.participant, source: 'camera' }, { el });
        view.state.subscribe(() => (el.dataset.state = view.state.get().state));
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

async function shows(page: Page, name: string, state = 'shown'): Promise<void> {
  await page.locator(`video[data-of="${name}"][data-state="${state}"]`).waitFor({ timeout: 15_000 });
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
