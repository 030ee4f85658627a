import { act } from 'react';
import { expect, it, vi } from 'vitest';
import { FakeRoom } from '../test/fake-room.js';
import { draw } from '../test/stage.js';
import { type LobbyChoice, PreJoin, type PreJoinWords } from './index.js';

vi.mock('./meter.js', () => ({ Meter: () => null }));

const WORDS: PreJoinWords = {
  name: 'Name',
  join: 'Join',
  microphone: 'Microphone',
  camera: 'Camera',
  speaker: 'Speaker',
  standard: 'Default',
  level: 'Level',
  test: 'Test',
  cameraOff: 'No picture',
  failure: (kind, failure) => `${kind}: ${failure}`,
  refused: (error) => `refused: ${(error as Error).message}`,
};

/** Tracks that a test can count. */
class Track extends EventTarget {
  readonly id = 'track';
  live = true;
  stop(): void {
    this.live = false;
  }
}

async function settle(change: () => void): Promise<void> {
  await act(async () => {
    change();
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  });
}

it('joins once with what it has open, and is as before where that is refused', async () => {
  const tracks: Track[] = [];
  const open = (): Promise<MediaStreamTrack> => {
    tracks.push(new Track());
    return Promise.resolve(tracks.at(-1) as unknown as MediaStreamTrack);
  };
  const live = (): number => tracks.filter((track) => track.live).length;
  let refuse: (why: Error) => void = () => undefined;
  const onJoin = vi.fn<(choice: LobbyChoice) => Promise<void>>(
    () => new Promise((_resolve, reject) => (refuse = reject)),
  );
  const options = { keep: null, name: 'Anna', open: { microphone: open, camera: open } };
  const stage = draw(new FakeRoom(), null, { strict: true });
  await settle(() => stage.again(<PreJoin words={WORDS} onJoin={onJoin} {...options} />));
  expect(live()).toBe(2);
  const button = stage.place.querySelector<HTMLButtonElement>('[data-testid="join"]');
  await settle(() => button?.click());
  await settle(() => button?.click());
  expect(onJoin).toHaveBeenCalledOnce();
  expect(onJoin.mock.lastCall?.[0]).toMatchObject({ name: 'Anna', camera: tracks.at(-1) });
  expect(button?.disabled).toBe(true);
  expect(live()).toBe(2);
  await settle(() => refuse(new Error('full')));
  expect(stage.place.querySelector('[role="alert"]')?.textContent).toBe('refused: full');
  // The old ones were given back, and there are new ones.
  expect([live(), tracks.at(-1)?.live, button?.disabled]).toEqual([2, true, false]);
  await settle(() => button?.click());
  stage.end();
  // What was handed over is not its own any more.
  expect(live()).toBe(2);
  await settle(() => refuse(new Error('late')));
  expect(live()).toBe(0);
});
