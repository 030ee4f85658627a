/* eslint-disable @typescript-eslint/no-unused-vars -- the signature, before what it does */
import type { ReactNode } from 'react';
import type { Room } from '@madang/sdk';

/** Who is in a call, and what moderators can do about it. */
export function PeoplePanel(_: { room: Room; onClose: () => void }): ReactNode {
  return null;
}
