import type { RoomCommand, Source } from '../types.js';
import type { Commands } from './commands.js';
import type { Moderation } from './types.js';

/** What moderators do, as commands. */
export function moderation(commands: Pick<Commands<RoomCommand>, 'send'>): Moderation {
  return {
    mute: (participant, source: Source = 'microphone') =>
      commands.send({ type: 'mute', participant, source }),
    lowerHand: (participant) => commands.send({ type: 'hand', up: false, participant }),
    remove: (participant) => commands.send({ type: 'remove', participant }),
    lock: (on) => commands.send({ type: 'lock', on }),
    grant: (participant, right) => commands.send({ type: 'grant', participant, right }),
    revoke: (participant, right) => commands.send({ type: 'revoke', participant, right }),
  };
}
