/* eslint-disable @typescript-eslint/no-unused-vars -- the signature, before what it does */
import type { ReactNode } from 'react';
import type { Room } from '@madang/sdk';

/** The chat of a call. */
export function CallChat(_: { room: Room; onClose: () => void }): ReactNode {
  return null;
}

/** Messages of others that came while the chat was not open. */
export function useUnread(_room: Room, _open: boolean): number {
  return 0;
}
