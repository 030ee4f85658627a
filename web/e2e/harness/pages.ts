import type { Browser, Page } from 'playwright-core';

import { type Evaluates, openPage, received, watchConnections } from './browser';
import { eventually } from './process';

/** What the tests read of a broadcast. */
export interface Broadcast {
  id: number;
  name: string;
  status: string;
  viewer_count: number;
  started_at: string | null;
  ended_at: string | null;
}

export const id = (name: string): string => `[data-testid="${name}"]`;

/** The pages of one server, as a person uses them. */
export class Pages {
  constructor(
    readonly browser: Browser,
    readonly url: string,
  ) {}

  async broadcast(number: number): Promise<Broadcast> {
    return (await (await fetch(`${this.url}/broadcasts/${number}`)).json()) as Broadcast;
  }

  async create(name: string): Promise<Broadcast & { stream_key: string; whip_url: string }> {
    const response = await fetch(`${this.url}/broadcasts`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name, description: '' }),
    });
    if (response.status !== 201) throw new Error(`POST /broadcasts: ${response.status}`);
    return (await response.json()) as Broadcast & { stream_key: string; whip_url: string };
  }

  /** Opens Studio and goes live; returns the page and the broadcast that viewers see. */
  async goLive(name: string, init = watchConnections): Promise<{ studio: Page; number: number }> {
    const studio = await openPage(this.browser, `${this.url}/studio`, { init });
    await studio.fill(id('name'), name);
    await studio.click(id('go-live'));
    const link = await studio.locator(id('share-link')).inputValue({ timeout: 20_000 });
    const number = Number(/\/watch\/(\d+)$/.exec(link)?.[1]);
    await eventually('STREAMING', async () => (await this.broadcast(number)).status === 'STREAMING');
    return { studio, number };
  }

  watch(number: number, init = watchConnections): Promise<Page> {
    return openPage(this.browser, `${this.url}/watch/${number}`, { init });
  }
}

/** Waits until `frames` more frames were decoded. */
export async function plays(page: Evaluates, frames = 30): Promise<void> {
  const before = (await received(page)).framesDecoded;
  await eventually('frames decoded', async () => (await received(page)).framesDecoded >= before + frames);
}

export async function say(page: Page, text: string): Promise<void> {
  await page.fill(id('chat-input'), text);
  await page.click(id('chat-send'));
}

export async function said(page: Page, text: string): Promise<void> {
  await page.locator(id('chat-message'), { hasText: text }).waitFor({ timeout: 10_000 });
}

export async function end(studio: Page): Promise<void> {
  await studio.click(id('end'));
  await studio.click(id('confirm-end'));
}

/** Chooses a picture in the menu of a viewer's page: a height, `auto` or `audio`. */
export async function choose(viewer: Page, choice: string | number): Promise<void> {
  await viewer.click(id('quality-button'));
  await viewer.click(id(`quality-${choice}`));
}

/** Waits until pictures of this height are decoded. */
export async function showsHeight(page: Evaluates, height: number, timeoutMs = 30_000): Promise<void> {
  const right = async () => {
    const before = await received(page);
    return before.frameHeight === height && before;
  };
  const { framesDecoded } = await eventually(`${height} lines`, right, timeoutMs);
  await eventually('frames of it', async () => (await received(page)).framesDecoded > framesDecoded);
}
