import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { CDPSession, Page } from 'playwright-core';

import { type Tile, judge } from './labels';
import { readPng } from './png';
import { root } from './process';

/** One captured picture of a page, judged. */
export interface Shot {
  /** When it was on the screen, Unix ms. */
  at: number;
  tiles: Tile[];
  /** The picture itself. */
  png: Buffer;
}

/** Where pictures of what went wrong are kept. */
const folder = join(root, 'web/test-results');
/** Most pictures that one run keeps. */
const MAX_KEPT = 40;
let kept = 0;

/** Keeps a picture for whoever reads of a failure; returns where. */
export async function keep(name: string, png: Buffer): Promise<string> {
  const path = join(folder, `${name.replace(/\W+/g, '-')}-${process.pid}-${kept}.png`);
  if (kept >= MAX_KEPT) return 'not kept: too many';
  kept += 1;
  await mkdir(folder, { recursive: true });
  await writeFile(path, png);
  return path;
}

/**
 * Every picture that a page of Chromium puts on the screen, as its compositor makes them. Each is judged as it comes; the
 * next comes when the last one was judged, so that a busy machine sees fewer of them and not later ones.
 */
export class Film {
  private session: CDPSession | null = null;
  private failure: Error | null = null;

  private constructor(
    private readonly page: Page,
    private readonly onShot: (shot: Shot) => void,
  ) {}

  static async start(page: Page, onShot: (shot: Shot) => void): Promise<Film> {
    const film = new Film(page, onShot);
    const session = await page.context().newCDPSession(page);
    film.session = session;
    session.on('Page.screencastFrame', ({ data, metadata, sessionId }) => {
      try {
        const png = Buffer.from(data, 'base64');
        const at = (metadata.timestamp ?? Date.now() / 1_000) * 1_000;
        film.onShot({ at, tiles: judge(readPng(png)), png });
      } catch (error) {
        film.failure ??= error instanceof Error ? error : new Error(String(error));
      }
      // A page that has closed meanwhile needs no answer.
      session.send('Page.screencastFrameAck', { sessionId }).catch(() => undefined);
    });
    await session.send('Page.startScreencast', { format: 'png', everyNthFrame: 1 });
    return film;
  }

  /** Ends it; fails with what a picture could not be judged for. */
  async stop(): Promise<void> {
    await this.session?.send('Page.stopScreencast').catch(() => undefined);
    await this.session?.detach().catch(() => undefined);
    if (this.failure !== null) throw new Error(`a picture of ${this.page.url()}: ${this.failure.message}`);
  }
}

/** One judged picture of a page of any browser, taken now. */
export async function shoot(page: { screenshot(): Promise<Uint8Array> }): Promise<Shot> {
  const before = Date.now();
  const png = Buffer.from(await page.screenshot());
  return { at: (before + Date.now()) / 2, tiles: judge(readPng(png)), png };
}
