/* eslint-disable @typescript-eslint/no-unused-vars -- the signature, before what it does */
import type { ReactNode } from 'react';

/** Who is in a call, and what moderators can do about it. */
export function PeoplePanel(_: { onClose: () => void }): ReactNode {
  return null;
}
