import type { Browser as Chromium, Page } from 'playwright-core';
import type { Browser as Firefox } from 'puppeteer-core';

import { openPage } from './browser';
import { openFirefoxPage } from './firefox';
import { keep, shoot, type Shot } from './film';
import { labels } from './labels';
import { id } from './pages';
import { persona, type PersonaOptions, type PersonaPage, pitchOf } from './persona';
import { eventually } from './process';

/** The people of these tests: a person's number is its place here. */
export const NAMES = ['Anna', 'Bert', 'Cleo', 'Dora', 'Emil', 'Finn', 'Gita', 'Hugo'] as const;
export type Name = (typeof NAMES)[number];

/** Whoever is heard is this loud at least, and who is not is quieter, dB. */
const HEARD_DB = -70;

/** Elements of the page of a call. */
const TILE = `${id('call-tile')}, ${id('call-self')}`;
const TILE_NAME = `.call-name, ${id('call-tile-name')}, [data-part="name"]`;

/** What Firefox's page says, being of another library, in the words of the other one. */
interface AnyPage {
  waitForSelector(selector: string, options?: { timeout?: number }): Promise<unknown>;
  click(selector: string): Promise<void>;
  type(selector: string, text: string): Promise<void>;
  evaluate(script: string): Promise<unknown>;
  screenshot(): Promise<Uint8Array>;
  url(): string;
}

export function numberOf(name: Name): number {
  return NAMES.indexOf(name);
}

/** All that a page of a call is opened with. */
export function initOf(name: Name, options: Omit<PersonaOptions, 'person'> = {}): string {
  return (
    persona({ person: numberOf(name), ...options }) + labels({ names: NAMES, tile: TILE, name: TILE_NAME })
  );
}

/** Makes a group; its owner's key makes moderators. */
export async function createGroup(
  url: string,
  body: object = {},
): Promise<{ id: string; owner_key: string }> {
  const response = await fetch(`${url}/groups`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'Test', ...body }),
  });
  if (response.status !== 201) throw new Error(`POST /groups: ${response.status}`);
  return (await response.json()) as { id: string; owner_key: string };
}

/** A join token of a group, of somebody new. */
export async function tokenOf(
  url: string,
  group: string,
  body: { grants?: readonly string[]; name?: string } = {},
  bearer?: string,
): Promise<string> {
  const response = await fetch(`${url}/groups/${group}/token`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
    },
    body: JSON.stringify(body),
  });
  if (!response.ok)
    throw new Error(`POST /groups/${group}/token: ${response.status} ${await response.text()}`);
  return ((await response.json()) as { token: string }).token;
}

/** As an init script: makes the page moderate a group, as the one that has made it does. */
export function ownerOf(group: string, key: string): string {
  return `sessionStorage.setItem('madang.call-owner.${group}', JSON.stringify('${key}'));`;
}

/** How somebody's page is opened. */
interface Window extends Omit<PersonaOptions, 'person'> {
  viewport: { width: number; height: number };
  /** More for the page to begin with. */
  init?: string;
}

/** Somebody in a call, with a page of either browser. */
export class Caller {
  private constructor(
    readonly name: Name,
    readonly page: AnyPage,
    /** Null in Firefox. */
    readonly chromium: Page | null,
    private readonly leaveWindow: () => Promise<void>,
  ) {}

  /** Opens the page of a call in a window of its own and joins. */
  static async join(
    browser: Chromium | Firefox,
    url: string,
    name: Name,
    options: Partial<Window> = {},
    timeoutMs = 30_000,
  ): Promise<Caller> {
    const { viewport = { width: 960, height: 640 }, ...rest } = options;
    const caller =
      'newContext' in browser
        ? await Caller.inChromium(browser, url, name, { ...rest, viewport })
        : await Caller.inFirefox(browser, url, name, { ...rest, viewport });
    await caller.enter(timeoutMs);
    return caller;
  }

  private static async inChromium(
    browser: Chromium,
    url: string,
    name: Name,
    { viewport, init = '', ...options }: Window,
  ): Promise<Caller> {
    const page = await openPage(browser, url, { init: init + initOf(name, options), viewport });
    return new Caller(name, page, page, () => page.context().close());
  }

  private static async inFirefox(
    browser: Firefox,
    url: string,
    name: Name,
    { viewport, init = '', ...options }: Window,
  ): Promise<Caller> {
    const page = await openFirefoxPage(browser, url, init + initOf(name, { ...options, voice: 'device' }));
    await page.setViewport(viewport);
    return new Caller(name, page, null, () => page.close());
  }

  /** From the door into the call. */
  async enter(timeoutMs = 30_000): Promise<void> {
    await this.fill('call-name', this.name);
    await this.click('call-join');
    await this.is('connected', timeoutMs);
  }

  get number(): number {
    return numberOf(this.name);
  }

  /** Waits until the call stands so. */
  async is(state: string, timeoutMs = 30_000): Promise<void> {
    await this.page.waitForSelector(`${id('call')}[data-state="${state}"]`, { timeout: timeoutMs });
  }

  /** How the call stands; null before it is entered. */
  async state(): Promise<string | null> {
    const state = `document.querySelector('${id('call')}')?.dataset.state ?? null`;
    return (await this.page.evaluate(state)) as string | null;
  }

  async click(testId: string): Promise<void> {
    await this.page.waitForSelector(id(testId));
    await this.page.click(id(testId));
  }

  /** Clicks what a selector names. */
  async press(selector: string): Promise<void> {
    await this.page.waitForSelector(selector);
    await this.page.click(selector);
  }

  /** In the list of people, what a moderator may do about somebody. */
  async moderates(name: Name, testId: string): Promise<void> {
    const participant = await this.participant(name);
    await this.opens('people');
    const row = `${id('person')}[data-participant="${participant}"]`;
    const isOpen = `document.querySelector('${row} ${id('person-more')}[aria-expanded="true"]') !== null`;
    if ((await this.page.evaluate(isOpen)) !== true) await this.press(`${row} ${id('person-more')}`);
    await this.press(`${row} ${id(testId)}`);
  }

  /** In place of what stands there: pages keep what was chosen before. */
  async fill(testId: string, text: string): Promise<void> {
    await this.page.waitForSelector(id(testId));
    await this.page.evaluate(`document.querySelector('${id(testId)}').select()`);
    await this.page.type(id(testId), text);
  }

  /** A picture of the page as it is now, judged. */
  shot(): Promise<Shot> {
    return shoot(this.page);
  }

  /** Waits until a captured picture of this page shows these people, each under its own name, and nobody else's picture. */
  async sees(names: readonly Name[], timeoutMs = 30_000): Promise<Shot> {
    const wanted = names.map(numberOf).sort().join();
    return this.looks(`${this.name} sees ${names.join(', ')}`, timeoutMs, ({ tiles }) => {
      const seen = tiles.filter(({ says, shows }) => says !== this.number && shows !== null);
      const right = seen.every(({ says, shows }) => says === shows?.person);
      const people = seen.filter(({ shows }) => shows?.source === 'camera').map(({ shows }) => shows?.person);
      return right && people.sort().join() === wanted;
    });
  }

  /** Waits until somebody's screen is in a captured picture, or in none any more; a camera beside it does not matter. */
  async seesScreen(name: Name, isThere = true, timeoutMs = 30_000): Promise<Shot> {
    const what = `${this.name} sees ${isThere ? 'the' : 'no'} screen of ${name}`;
    return this.looks(what, timeoutMs, ({ tiles }) => {
      const screens = tiles.filter(({ shows }) => shows?.source === 'screen');
      const right = screens.every(({ says, shows }) => says === shows?.person && says === numberOf(name));
      return right && screens.length > 0 === isThere;
    });
  }

  /** Waits until a captured picture is as it has to be; one that never is, is kept for whoever reads of the failure. */
  async looks(what: string, timeoutMs: number, check: (shot: Shot) => boolean): Promise<Shot> {
    let last: Shot | null = null;
    try {
      return await eventually(
        what,
        async () => {
          last = await this.shot();
          return check(last) && last;
        },
        timeoutMs,
      );
    } catch (error) {
      const shot = last as Shot | null;
      const path = shot === null ? 'none' : await keep(what, shot.png);
      const tiles = JSON.stringify(shot?.tiles.map(({ says, shows }) => ({ says, shows })));
      throw new Error(`${String(error)}; the last picture: ${path}, its tiles: ${tiles}`);
    }
  }

  /** Waits until these people are heard here, and nobody else; never oneself. */
  async hears(names: readonly Name[], timeoutMs = 30_000): Promise<void> {
    if (this.chromium === null) return this.hearsMany(names.length, timeoutMs);
    const pitches = NAMES.map((_, person) => pitchOf(person));
    const wanted = names.map(numberOf).sort().join();
    await eventually(
      `${this.name} hears ${names.join(', ')}`,
      async () => {
        const levels = await this.persona((persona, given) => persona.hears(given), pitches);
        const heard = levels.flatMap((level, person) => (level > HEARD_DB ? [person] : []));
        if (heard.join() !== wanted) throw new Error(`${levels.map(Math.round).join()} dB`);
        return true;
      },
      timeoutMs,
    );
  }

  /** Waits until so many voices bring sound. */
  private async hearsMany(count: number, timeoutMs: number): Promise<void> {
    let before = await this.persona((persona) => persona.energies(), null);
    await eventually(
      `${this.name} hears ${count}`,
      async () => {
        const now = await this.persona((persona) => persona.energies(), null);
        const louder = now.filter((energy, index) => energy > (before[index] ?? 0) + 1e-6).length;
        before = now;
        if (louder !== count) throw new Error(`hears ${louder}: ${now.join()}`);
        return true;
      },
      timeoutMs,
    );
  }

  /** Calls what the persona left in the page. */
  async persona<Given, Result>(
    inside: (persona: PersonaPage, given: Given) => Result | Promise<Result>,
    given: Given,
  ): Promise<Result> {
    const call = `(${inside.toString()})(window.__persona, ${JSON.stringify(given)})`;
    return (await this.page.evaluate(call)) as Result;
  }

  /** The participant whose tile bears a name. */
  async participant(name: Name): Promise<string> {
    const of = `[...document.querySelectorAll('${id('call-tile')}')].find((tile) => tile.querySelector('${TILE_NAME}')?.textContent.includes('${name}'))?.dataset.participant`;
    return eventually(
      `the tile of ${name}`,
      async () => (await this.page.evaluate(of)) as string | undefined,
    );
  }

  /** Writes into the chat, whose panel is opened for it. */
  async says(text: string): Promise<void> {
    await this.opens('chat');
    await this.page.type(id('chat-input'), text);
    await this.page.click(id('chat-send'));
  }

  /** Opens the panel with the chat or the list of people, if it is not open. */
  async opens(panel: 'chat' | 'people'): Promise<void> {
    const isOpen = `document.querySelector('${id(panel)}') !== null`;
    if ((await this.page.evaluate(isOpen)) !== true) await this.click(`call-${panel}`);
    await this.page.waitForSelector(id(panel));
  }

  /** All that stands in the chat and is with the server. */
  async chat(): Promise<string[]> {
    await this.opens('chat');
    const lines = `[...document.querySelectorAll('${id('chat-message')}')].map((line) => line.innerText)`;
    return (await this.page.evaluate(lines)) as string[];
  }

  /** Whether this page says that somebody's microphone is off. */
  async isMuted(name: Name): Promise<boolean> {
    // In the corner, one's own tile bears no name.
    const tile =
      name === this.name
        ? `document.querySelector('${id('call-self')}')`
        : `[...document.querySelectorAll('${TILE}')].find((tile) => tile.querySelector('${TILE_NAME}')?.textContent.includes('${name}'))`;
    const isMuted = `${tile}?.querySelector('${id('call-muted-mark')}') != null`;
    return (await this.page.evaluate(isMuted)) === true;
  }

  /** The participants who have a tile here, oneself too. */
  async present(): Promise<string[]> {
    const all = `[...new Set([...document.querySelectorAll('${TILE}')].map((tile) => tile.dataset.participant))].sort()`;
    return (await this.page.evaluate(all)) as string[];
  }

  async close(): Promise<void> {
    await this.leaveWindow();
  }
}
