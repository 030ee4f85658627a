import { act, type ReactNode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { TrackSound, useTracks } from './index.js';

vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
/** Remembers what it was made of. */
class Stream extends MediaStream {
  constructor(readonly given: MediaStreamTrack[]) {
    super(given);
  }
}
vi.stubGlobal('MediaStream', Stream);

let root: Root;
let place: HTMLElement;

beforeEach(() => {
  place = document.createElement('div');
  document.body.append(place);
  root = createRoot(place);
});
afterEach(() => {
  act(() => root.unmount());
  place.remove();
  vi.restoreAllMocks();
});

function track(id: string): MediaStreamTrack {
  return { id } as MediaStreamTrack;
}

function Picture({ tracks }: { tracks: (MediaStreamTrack | null)[] }): ReactNode {
  return <video ref={useTracks<HTMLVideoElement>(...tracks)} />;
}

function shown(): unknown {
  return place.querySelector('video')?.srcObject;
}

it('starts playback anew for other tracks only', () => {
  const camera = track('camera');
  act(() => root.render(<Picture tracks={[camera]} />));
  const first = shown();
  expect(first).toMatchObject({ given: [camera] });
  act(() => root.render(<Picture tracks={[camera, null]} />));
  expect(shown()).toBe(first);
  act(() => root.render(<Picture tracks={[camera, track('sound')]} />));
  expect(shown()).not.toBe(first);
  act(() => root.render(<Picture tracks={[null]} />));
  expect(shown()).toBeNull();
});

it('tells of a browser that wants a click, and tries again at the click', async () => {
  const play = vi
    .spyOn(HTMLMediaElement.prototype, 'play')
    .mockRejectedValueOnce(new DOMException('', 'NotAllowedError'))
    .mockResolvedValue(undefined);
  const onBlocked = vi.fn();
  const sound = { track: track('voice'), muted: false, volume: 0.5, onBlocked };
  await act(async () => {
    root.render(<TrackSound {...sound} allowed={0} />);
    await Promise.resolve();
  });
  expect(onBlocked).toHaveBeenCalledOnce();
  expect(place.querySelector('audio')?.volume).toBe(0.5);
  await act(async () => {
    root.render(<TrackSound {...sound} allowed={1} />);
    await Promise.resolve();
  });
  expect([play.mock.calls.length, onBlocked.mock.calls.length]).toEqual([2, 1]);
});
