import { afterEach, expect, it } from 'vitest';
import { keepDevice, LOBBY_KEY, readChoice, writeChoice } from './kept-choice.js';

const choice = {
  name: 'Anna',
  microphone: { on: false, deviceId: null },
  camera: { on: true, deviceId: 'cam' },
  speakerId: null,
};

afterEach(() => localStorage.clear());

it('keeps a device that was chosen in the room, and nothing else', () => {
  writeChoice(LOBBY_KEY, choice);
  keepDevice('microphone', 'headset');
  keepDevice('speaker', 'headset');
  keepDevice('camera', null);
  expect(readChoice(LOBBY_KEY)).toEqual({
    name: 'Anna',
    microphone: { on: false, deviceId: 'headset' },
    camera: { on: true, deviceId: null },
    speakerId: 'headset',
  });
});

it('keeps nothing where no lobby has kept its choice', () => {
  keepDevice('camera', 'cam');
  expect(readChoice(LOBBY_KEY)).toBeNull();
});
