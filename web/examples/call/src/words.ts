import type { PreJoinWords, TileWords } from '@madang/react';

export const preJoin: PreJoinWords = {
  name: 'Your name',
  join: 'Join',
  microphone: 'Microphone',
  camera: 'Camera',
  speaker: 'Loudspeaker',
  standard: 'Default',
  level: 'Loudness of the microphone',
  test: 'Play a sound',
  cameraOff: 'No picture',
  failure: (kind, failure) => `The ${kind} cannot be used (${failure}).`,
  refused: (error) => `That did not work: ${error instanceof Error ? error.message : 'try again'}`,
};

export const tile: TileWords = {
  guest: 'Guest',
  you: (name) => `${name} (you)`,
  screen: (name) => `Screen of ${name}`,
  microphone: { off: 'Microphone off', muted: 'Muted by a moderator' },
  hand: 'Hand up',
  quality: {
    good: 'Good connection',
    fair: 'Fair connection',
    poor: 'Poor connection',
    lost: 'Connection lost',
  },
  missing: {
    absent: 'No picture yet',
    slots: 'Others are shown first',
    kind: 'Cannot be shown here',
    codec: 'This browser cannot show it',
    line: 'The connection is too slow',
  },
};
