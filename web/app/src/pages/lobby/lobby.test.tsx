import { act } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

const { group, able, servers } = vi.hoisted(() => ({
  servers: vi.fn<() => Promise<object>>(),
  group: vi.fn<(id: string) => Promise<object>>(),
  able: vi.fn<() => boolean>(),
}));
vi.mock('../../lib/api', () => ({ api: { group, iceServers: servers } }));
vi.mock('../../lib/able', () => ({ canCall: able }));
vi.mock('@madang/react', async (original) => ({
  ...(await original<typeof import('@madang/react')>()),
  Meter: () => null,
  useTracks: () => ({ current: null }),
}));

import { ApiError, type CallFailure, NetworkError } from '@madang/sdk';
import { en } from '../../texts/en';
import type { LobbyChoice } from './choice';
import { Lobby } from './lobby';

let root: Root;
let place: HTMLElement;
const joined = vi.fn<(choice: LobbyChoice) => void>();

beforeEach(() => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  localStorage.clear();
  sessionStorage.clear();
  group.mockReset().mockResolvedValue({ name: 'Standup', admission: 'link' });
  servers.mockReset().mockReturnValue(new Promise(() => undefined));
  able.mockReset().mockReturnValue(true);
  joined.mockReset();
  place = document.body.appendChild(document.createElement('div'));
  root = createRoot(place);
});
afterEach(() => {
  act(() => root.unmount());
  place.remove();
  vi.unstubAllGlobals();
});

const find = (testId: string): HTMLElement | null => place.querySelector(`[data-testid="${testId}"]`);

function show(failure: CallFailure | null = null, joining = false): Promise<void> {
  return act(async () => {
    root.render(<Lobby group="grp_a" failure={failure} joining={joining} onJoin={joined} />);
    await new Promise((resolve) => setTimeout(resolve));
  });
}

function write(name: string): void {
  const field = find('call-name');
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')?.set?.call(field, name);
  act(() => void field?.dispatchEvent(new Event('input', { bubbles: true })));
}

it('is joined without camera and microphone, under the name that was written', async () => {
  await show();
  expect(place.querySelector('h1')?.textContent).toBe('Standup');
  // Nothing can be opened here, and each device says so.
  expect(find('camera-problem')).not.toBeNull();
  expect(find('microphone-problem')).not.toBeNull();
  write(' Anna ');
  act(() => find('call-join')?.click());
  expect(joined).toHaveBeenCalledExactlyOnceWith(
    expect.objectContaining({ name: 'Anna', microphone: null, camera: null, blur: false }),
  );
  // The next call is joined under it as well.
  act(() => root.unmount());
  root = createRoot(place);
  await show();
  expect((find('call-name') as HTMLInputElement).value).toBe('Anna');
});

it('says that a call is not there, and does not say so while nobody answers', async () => {
  group.mockRejectedValue(new NetworkError('away'));
  await show();
  expect(find('lobby-gone')).toBeNull();
  expect(find('lobby-away')?.textContent).toContain(en.callNetwork);
  group.mockRejectedValue(new ApiError(404, '', ''));
  await act(async () => {
    find('lobby-away')?.querySelector('button')?.click();
    await new Promise((resolve) => setTimeout(resolve));
  });
  expect(find('lobby-gone')).not.toBeNull();
  expect(find('call-join')).toBeNull();
});

it.each([
  ['full', en.callFull],
  ['locked', en.adviceLocked],
  ['removed', en.callRemoved],
  ['unauthorized', en.adviceAskLink],
  ['media', en.adviceOtherNetwork],
  ['server', en.callServer],
] as const)('says what to do where the call is refused: %s', async (failure, words) => {
  await show(failure);
  expect(find('lobby-refused')?.textContent).toContain(words);
  expect(find('call-join')?.textContent).toBe(en.retry);
});

it('looks for what is in the way where no media came through', async () => {
  servers.mockRejectedValue(new NetworkError('away'));
  await show('media');
  expect(find('lobby-refused')?.textContent).toContain(en.callNetwork);
});

it('takes nothing while it is joining, and opens devices again for who was refused', async () => {
  const open = vi.fn(({ video }: MediaStreamConstraints) => {
    const kind = video === undefined ? 'audio' : 'video';
    const track = Object.assign(new EventTarget(), { kind, id: kind, stop: () => undefined });
    return Promise.resolve({ getTracks: () => [track] });
  });
  const devices = { getUserMedia: open, enumerateDevices: () => Promise.resolve([]) };
  Object.defineProperty(navigator, 'mediaDevices', {
    value: Object.assign(new EventTarget(), devices),
    configurable: true,
  });
  try {
    await show();
    const before = open.mock.calls.length;
    expect(before).toBe(2);
    await act(async () => {
      find('call-join')?.click();
      await Promise.resolve();
    });
    expect(joined.mock.lastCall?.[0].camera).toMatchObject({ kind: 'video' });
    await show(null, true);
    expect(find('call-join')?.hasAttribute('disabled')).toBe(true);
    expect(open).toHaveBeenCalledTimes(before);
    await show('full');
    expect(open).toHaveBeenCalledTimes(2 * before);
  } finally {
    Object.defineProperty(navigator, 'mediaDevices', { value: undefined, configurable: true });
  }
});

it('says that a browser is too old instead of failing in the middle', async () => {
  able.mockReturnValue(false);
  await show();
  expect(find('lobby-old')).not.toBeNull();
  expect(find('call-join')).toBeNull();
});
