import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LocalScreen } from './screen.js';

/** A track of what is shared. */
class Track extends EventTarget {
  readyState: 'live' | 'ended' = 'live';
  contentHint = '';
  constructor(
    readonly kind: 'video' | 'audio',
    private readonly settings: object = {},
  ) {
    super();
  }
  stop(): void {
    this.readyState = 'ended';
  }
  getSettings(): object {
    return this.settings;
  }
}

let given: { video: Track; audio: Track | null };
const picker = vi.fn<(constraints: { audio: unknown }) => Promise<object>>();
const sent = new Map<string, unknown>();
const sends = new Map<string, boolean>();
let fps = 1;

beforeEach(() => {
  vi.useFakeTimers();
  sent.clear();
  sends.clear();
  given = { video: new Track('video'), audio: null };
  picker.mockImplementation(() => {
    const { video, audio } = given;
    return Promise.resolve({
      getVideoTracks: () => [video],
      getAudioTracks: () => (audio === null ? [] : [audio]),
    });
  });
  vi.stubGlobal('navigator', { mediaDevices: { getDisplayMedia: picker } });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

function screen(): LocalScreen {
  return new LocalScreen({
    send: (source, track) => {
      sent.set(source, track);
      return Promise.resolve();
    },
    sends: (source, on) => sends.set(source, on),
    fps: () => Promise.resolve(fps),
  });
}

it('is shared with the sound that is not our own, and ended by the bar of the browser', async () => {
  given.audio = new Track('audio', { restrictOwnAudio: true });
  const own = screen();
  await own.share({ audio: true });
  expect(picker.mock.calls.at(-1)?.[0].audio).toEqual({ restrictOwnAudio: true });
  expect([own.state.get().state, own.state.get().audio]).toEqual(['on', 'on']);
  expect([sent.get('screen'), sent.get('screen_audio')]).toEqual([given.video, given.audio]);
  given.video.dispatchEvent(new Event('ended'));
  await vi.waitFor(() => expect(own.state.get()).toMatchObject({ state: 'off', audio: 'off', track: null }));
  expect([...sent.values(), ...sends.values()]).toEqual([null, null, false, false]);
  expect(given.audio.readyState).toBe('ended');
});

it('is without sound where the browser cannot keep our own out of it, and says so', async () => {
  const foreign = new Track('audio');
  given.audio = foreign;
  const own = screen();
  await own.share({ audio: true });
  expect(own.state.get()).toMatchObject({ state: 'on', audio: 'without' });
  expect([foreign.readyState, sent.get('screen_audio'), sends.get('screen_audio')]).toEqual([
    'ended',
    null,
    false,
  ]);
  await own.stop();
  await own.share();
  expect([picker.mock.calls.at(-1)?.[0].audio, own.state.get().audio]).toEqual([false, 'off']);
  own.close();
});

it('stays what it was where the picker is closed, and is given back where it was left meanwhile', async () => {
  const own = screen();
  await own.share();
  picker.mockRejectedValueOnce(new DOMException('', 'NotAllowedError'));
  await own.share();
  expect(own.state.get()).toMatchObject({ state: 'on', failure: 'cancelled', track: given.video });
  await own.stop();
  const late = new Track('video');
  let give: (stream: object) => void = () => undefined;
  picker.mockImplementationOnce(() => new Promise((resolve) => (give = resolve)));
  const sharing = own.share();
  await own.stop();
  give({ getVideoTracks: () => [late], getAudioTracks: () => [] });
  await sharing;
  expect([late.readyState, own.state.get().state, sends.get('screen')]).toEqual(['ended', 'off', false]);
});

it('is encoded as a film while it moves', async () => {
  const own = screen();
  await own.share();
  expect(given.video.contentHint).toBe('detail');
  fps = 30;
  await vi.advanceTimersByTimeAsync(5_000);
  expect(given.video.contentHint).toBe('motion');
  fps = 1;
  await vi.advanceTimersByTimeAsync(5_000);
  expect(given.video.contentHint).toBe('detail');
  own.close();
});
