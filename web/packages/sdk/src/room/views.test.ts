import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { CallSlot } from '../call.js';
import type { Person, SlotKind, Want } from '../types.js';
import { peopleOf, NOBODY, type People } from './people.js';
import { Views } from './views.js';

const SLOTS: Record<SlotKind, number> = { tile: 2, stage: 1, screen: 1, voice: 1, screen_audio: 1 };
type Painted = (now: number, metadata: object) => void;

let sights: ((entries: object[]) => void)[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  sights = [];
  const observer = (listen?: (tell: (entries: object[]) => void) => void) =>
    class {
      constructor(tell: (entries: object[]) => void) {
        listen?.(tell);
      }
      observe = (): void => undefined;
      unobserve = (): void => undefined;
      disconnect = (): void => undefined;
    };
  vi.stubGlobal('ResizeObserver', observer());
  vi.stubGlobal(
    'IntersectionObserver',
    observer((tell) => sights.push(tell)),
  );
  vi.stubGlobal(
    'MediaStream',
    class {
      constructor(readonly tracks: object[]) {}
    },
  );
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** A `<video>` that paints when the test says so. */
class Screen {
  readonly el = document.createElement('video');
  private painted: Painted | null = null;
  /** How often the page had to be laid out to say how high it is. */
  measured = 0;
  constructor(height: number) {
    const get = (): number => {
      this.measured += 1;
      return height;
    };
    Object.defineProperty(this.el, 'clientHeight', { get });
    Object.defineProperty(this.el, 'srcObject', { value: null, writable: true });
    Object.assign(this.el, {
      play: () => Promise.resolve(),
      requestVideoFrameCallback: (painted: Painted) => {
        this.painted = painted;
        return 1;
      },
      cancelVideoFrameCallback: () => (this.painted = null),
    });
  }
  paint(rtpTimestamp: number): void {
    const { painted } = this;
    this.painted = null;
    painted?.(0, { rtpTimestamp, width: 320, height: 180 });
  }
  get track(): unknown {
    return (this.el.srcObject as unknown as { tracks: object[] } | null)?.tracks[0] ?? null;
  }
  get isCovered(): boolean {
    return this.el.style.opacity === '0';
  }
}

/** Slots of a connection, each with its track; what they show is set by the test. */
function slots(shown: Record<string, [kind: SlotKind, source: number, from?: number]>): CallSlot[] {
  return Object.entries(shown).map(([mid, [kind, source, from]]) => ({
    mid,
    kind,
    track: trackOf(mid),
    receiver: { getContributingSources: () => [] } as unknown as RTCRtpReceiver,
    binding: { mid, source, participant: '', ...(from === undefined ? {} : { from }) },
  }));
}

const tracks = new Map<string, MediaStreamTrack>();
function trackOf(mid: string): MediaStreamTrack {
  const track = tracks.get(mid) ?? ({ mid } as unknown as MediaStreamTrack);
  tracks.set(mid, track);
  return track;
}

function people(...on: [id: string, csrc: number][]): People {
  return peopleOf(
    {
      people: on.map(([participant, csrc], order): Person => {
        const sources: Person['sources'] = [{ source: 'camera', csrc, state: 'on' }];
        return { participant, order, name: '', rights: [], quality: 'good', sources };
      }),
    },
    NOBODY,
  );
}

function open(): { views: Views; wants: Want[][] } {
  const wants: Want[][] = [];
  return { views: new Views(SLOTS, (want) => wants.push(want)), wants };
}

const of = (participant: string) => ({ participant, source: 'camera' as const });

it('wants what is seen, as high as it is seen, and says it once', async () => {
  const { views, wants } = open();
  views.take({ people: people(['me', 2], ['anna', 6], ['bert', 10]), me: 'me' });
  const [small, large] = [new Screen(100), new Screen(500)];
  views.open(of('anna'), { el: small.el, priority: 1 });
  const bert = views.open(of('bert'), { el: large.el });
  views.open(of('me'), { el: new Screen(100).el });
  await vi.advanceTimersByTimeAsync(500);
  const anna = { source: 6, slot: 'tile', height: 240, priority: 254 };
  expect(wants).toEqual([[{ source: 10, slot: 'tile', height: 480, priority: 255 }, anna]]);
  sights[0]?.([{ target: large.el, isIntersecting: false }]);
  await vi.advanceTimersByTimeAsync(500);
  expect(wants.slice(1)).toEqual([[anna]]);
  bert.change({ always: true, pin: true });
  await vi.advanceTimersByTimeAsync(500);
  expect(wants.slice(2)).toEqual([
    [{ source: 10, slot: 'stage', height: 480, priority: 255, pinned: true }, anna],
  ]);
  views.close();
  await vi.advanceTimersByTimeAsync(500);
  expect(wants).toHaveLength(3);
});

it('measures what is opened when it says what it wants, and not before: many are opened in one turn', async () => {
  const { views, wants } = open();
  views.take({ people: people(['anna', 6], ['bert', 10]), me: 'me' });
  const screens = [new Screen(100), new Screen(500)];
  screens.forEach(({ el }, index) => views.open(of(['anna', 'bert'][index] ?? ''), { el }));
  views.take({ slots: slots({ '0': ['tile', 6] }), missing: [], speaker: 'anna' });
  expect(screens.map(({ measured }) => measured)).toEqual([0, 0]);
  await vi.advanceTimersByTimeAsync(500);
  views.take({ speaker: 'bert' });
  await vi.advanceTimersByTimeAsync(500);
  expect(screens.map(({ measured }) => measured)).toEqual([1, 1]);
  expect(wants.map((said) => said.map(({ height }) => height))).toEqual([[240, 480]]);
  views.close();
});

it('covers a picture until a frame of it is painted, and when its slot goes to somebody else', () => {
  const { views } = open();
  views.take({ people: people(['anna', 6], ['bert', 10]), me: 'me' });
  const [first, second] = [new Screen(100), new Screen(100)];
  const anna = views.open(of('anna'), { el: first.el });
  expect([anna.state.get().state, first.isCovered]).toEqual(['covered', true]);
  views.take({ slots: slots({ '0': ['tile', 6] }), missing: [] });
  first.paint(900);
  expect([first.track, first.isCovered]).toEqual([trackOf('0'), true]);
  views.take({ slots: slots({ '0': ['tile', 6, 1_000] }), missing: [] });
  expect(first.isCovered).toBe(true);
  first.paint(1_000);
  expect([anna.state.get(), first.isCovered]).toEqual([
    { state: 'shown', participant: 'anna', why: null, width: 320, height: 180 },
    false,
  ]);

  const bert = views.open(of('bert'), { el: second.el });
  views.take({
    slots: slots({ '0': ['tile', 10, 5_000] }),
    missing: [{ source: 6, slot: 'tile', why: 'slots' }],
  });
  expect([anna.state.get().state, anna.state.get().why, first.isCovered]).toEqual(['missing', 'slots', true]);
  second.paint(4_000);
  expect([bert.state.get().state, second.track]).toEqual(['covered', trackOf('0')]);
  second.paint(5_000);
  expect([bert.state.get().state, first.isCovered, second.isCovered]).toEqual(['shown', true, false]);
  // Who switches the camera off is not shown, whatever is still painted.
  views.take({ people: people(['anna', 6]) });
  expect([bert.state.get().state, second.isCovered, second.track]).toEqual(['off', true, null]);
  views.close();
  expect([first.isCovered, second.isCovered]).toEqual([false, false]);
});

it('follows the speaker, covered until it is the next one', () => {
  const { views } = open();
  views.take({ people: people(['anna', 6], ['bert', 10]), me: 'me', speaker: 'anna' });
  const stage = new Screen(700);
  const speaker = views.open('speaker', { el: stage.el });
  // The same person in a tile of a page that shows both.
  views.take({ slots: slots({ '0': ['tile', 6, 0], '2': ['stage', 6, 100] }), missing: [] });
  stage.paint(100);
  expect([speaker.state.get().participant, speaker.state.get().state, stage.track]).toEqual([
    'anna',
    'shown',
    trackOf('2'),
  ]);
  views.take({ speaker: 'bert' });
  expect([speaker.state.get().participant, stage.isCovered]).toEqual(['bert', true]);
  stage.paint(200);
  expect(stage.isCovered).toBe(true);
  views.take({ slots: slots({ '0': ['tile', 6, 0], '2': ['stage', 10, 300] }), missing: [] });
  stage.paint(300);
  expect([speaker.state.get().state, stage.isCovered]).toEqual(['shown', false]);
  views.close();
});
