import { act } from 'react';
import { createRoot } from 'react-dom/client';
import { expect, it, vi } from 'vitest';

const { FakePlayer } = vi.hoisted(() => {
  /** A player whose statistics come when the test says so. */
  class Player {
    static answers: ((stats: unknown) => void)[] = [];
    on(name: string, listener: (value: unknown) => void): void {
      if (name === 'tracks') listener([{ source: 'camera', track: { id: 'dead' } }]);
    }
    start = (): void => undefined;
    close = (): Promise<void> => Promise.resolve();
    stats = (): Promise<unknown> => new Promise((resolve) => Player.answers.push(resolve));
  }
  return { FakePlayer: Player };
});

vi.mock('@madang/sdk', async (original) => ({ ...(await original<object>()), WhepPlayer: FakePlayer }));
vi.mock('../lib/api', () => ({
  api: { thumbnailUrl: () => '/thumbnail' },
  playEndpoint: () => Promise.resolve(''),
}));
vi.mock('@madang/react', async (original) => ({
  ...(await original<object>()),
  useMedia: () => false,
  useTracks: () => ({ current: null }),
}));

import { useCatalogue } from '../store/catalogue';
import { Featured } from './featured';

it('shows no dead picture of a preview that was paused while it was measured', async () => {
  vi.useFakeTimers();
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
  const created_at = '2026-01-01T00:00:00Z';
  const times = { started_at: created_at, ended_at: null, created_at, modified_at: created_at };
  const row = { id: 7, name: 'a', description: '', status: 'STREAMING', viewer_count: 1, ...times } as const;
  useCatalogue.setState({ phase: 'ready', byId: { 7: row }, featured: 7 });
  const place = document.body.appendChild(document.createElement('div'));
  const root = createRoot(place);
  act(() => root.render(<Featured id={7} />));
  const hidden = (): unknown => place.querySelector('video')?.hidden;
  const answer = async (): Promise<void> => {
    const track = { source: 'camera', frames: 9, packets: 9 };
    await act(async () => {
      for (const settle of FakePlayer.answers.splice(0)) settle({ tracks: [track] });
      await vi.advanceTimersByTimeAsync(0);
    });
  };
  await act(() => vi.advanceTimersByTimeAsync(2_000));
  await answer();
  expect(hidden()).toBe(false);
  await act(() => vi.advanceTimersByTimeAsync(2_000));
  act(() => place.querySelector<HTMLButtonElement>('.featured-toggle')?.click());
  await answer();
  expect(hidden()).toBe(true);
  act(() => root.unmount());
  place.remove();
  vi.useRealTimers();
});
