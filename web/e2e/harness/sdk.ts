import { join } from 'node:path';

import type { Browser, Page } from 'playwright-core';
import { rolldown } from 'rolldown';

import { calmCamera, openPage } from './browser';
import { root } from './process';

let bundle: Promise<string> | null = null;

/** The SDK as a script that leaves it in `window.sdk`. */
function sdkScript(): Promise<string> {
  bundle ??= (async () => {
    const input = join(root, 'web/packages/sdk/src/index.ts');
    const built = await rolldown({ input, platform: 'browser' });
    const { output } = await built.generate({ format: 'iife', name: 'sdk' });
    await built.close();
    return `${output[0].code}; window.sdk = sdk;`;
  })();
  return bundle;
}

/** What is in the window of such a page, once it has joined. */
export interface RoomWindow {
  sdk: typeof import('@madang/sdk');
  room: import('@madang/sdk').Room;
}

/** A page of the server's origin with the SDK in it (`window.sdk`), and nothing else. */
export async function openSdkPage(browser: Browser, url: string, init = calmCamera): Promise<Page> {
  const page = await openPage(browser, `${url}/config.json`, { init });
  await page.evaluate(await sdkScript());
  return page;
}
