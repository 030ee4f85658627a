import { join } from 'node:path';

import type { Browser, Page } from 'playwright-core';
import { rolldown } from 'rolldown';

import { calmCamera, openPage } from './browser';
import { root } from './process';

const bundles = new Map<string, Promise<string>>();

/** A module of `web` as a script that leaves what it exports in `window[name]`. */
export function script(path: string, name: string): Promise<string> {
  const make = async (): Promise<string> => {
    const built = await rolldown({
      input: join(root, 'web', path),
      platform: 'browser',
      // The workspaces' sources, not what was built of them last.
      resolve: { conditionNames: ['@madang/source', 'browser', 'import', 'default'] },
    });
    const { output } = await built.generate({ format: 'iife', name });
    await built.close();
    return `${output[0].code}; window.${name} = ${name};`;
  };
  const bundle = bundles.get(path) ?? make();
  bundles.set(path, bundle);
  return bundle;
}

/** What is in the window of such a page, once it has joined. */
export interface RoomWindow {
  sdk: typeof import('@madang/sdk');
  room: import('@madang/sdk').Room;
}

/**
 * A page of the server's origin with the SDK in it (`window.sdk`), and nothing else; `before`: what is to be done before
 * its scripts run.
 */
export async function openSdkPage(
  browser: Browser,
  url: string,
  { init = calmCamera, before }: { init?: string; before?: (page: Page) => Promise<void> } = {},
): Promise<Page> {
  const page = await openPage(browser, `${url}/config.json`, { init });
  if (before !== undefined) {
    await before(page);
    await page.reload();
  }
  await page.evaluate(await script('packages/sdk/src/index.ts', 'sdk'));
  return page;
}
