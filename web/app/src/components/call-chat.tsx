/* eslint-disable @typescript-eslint/no-unused-vars -- the signature, before what it does */
import type { ReactNode } from 'react';

/** The chat of a call. */
export function CallChat(_: { onClose: () => void }): ReactNode {
  return null;
}

/** Messages of others that came while the chat was not open. */
export function useUnread(_open: boolean): number {
  return 0;
}
