import type { BoardOptions } from '../fixtures/switchboard';
import { type Name, tokenOf } from './callers';
import { script } from './sdk';

/** A page of any browser, told by text. */
export interface Evaluates {
  evaluate(script: string): Promise<unknown>;
}

/** A page of the server's origin without a program of its own. */
export function blank(url: string): string {
  return `${url}/config.json`;
}

/** Puts the switchboard on such a page, and joins the call of `group` as `name`. */
export async function openBoard(
  page: Evaluates,
  at: { url: string; group: string },
  name: Name,
  options: Omit<BoardOptions, 'token'>,
): Promise<void> {
  const token = await tokenOf(at.url, at.group, { name });
  await page.evaluate(await script('e2e/fixtures/switchboard.ts', 'switchboard'));
  await page.evaluate(`switchboard.open(${JSON.stringify({ token, ...options })})`);
}
