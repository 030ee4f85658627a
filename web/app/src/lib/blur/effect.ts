import type { Effect } from '@madang/sdk';

/** Whether this browser can blur the background of a camera. */
export function canBlur(): boolean {
  return false;
}

/** Blurs what is behind a person. Its code and its model are loaded when it is applied. */
export const blur: Effect = {
  apply: () => Promise.reject(new Error('not there yet')),
};
