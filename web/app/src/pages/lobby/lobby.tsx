/* eslint-disable @typescript-eslint/no-unused-vars -- the signature, before what it does */
import type { ReactNode } from 'react';
import type { CallFailure } from '@madang/sdk';
import type { LobbyChoice } from './choice';

/**
 * The page before a call. `failure`: why the last try to join failed; `joining` while one is under way. The tracks of
 * the choice are whoever's who takes it; what is not joined with is stopped.
 */
export function Lobby(_: {
  group: string;
  failure: CallFailure | null;
  joining: boolean;
  onJoin: (choice: LobbyChoice) => void;
}): ReactNode {
  return null;
}
