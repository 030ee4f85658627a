import type { CallSlot } from '../call.js';
import type { MissingSource, SlotKind, Want } from '../types.js';
import { Cover, type Shows } from './cover.js';
import { Frames } from './frames.js';
import { NOBODY, type People, sourceOf } from './people.js';
import { Eyes } from './seen.js';
import { Value } from './store.js';
import type { PictureOf, View, ViewOptions, ViewState } from './types.js';
import { type Place, slotKinds, wantsOf } from './wants.js';

/** What of a room says what its views show. */
export interface Known {
  people: People;
  /** Oneself. */
  me: string | null;
  /** Whoever speaks mainly. */
  speaker: string | null;
  slots: readonly CallSlot[];
  missing: readonly MissingSource[];
  /** One's own pictures. */
  own: { camera: MediaStreamTrack | null; screen: MediaStreamTrack | null };
}

/** Wants are said at most so often, in milliseconds: the server reads ten a second. */
const SAY_EVERY_MS = 120;
/** What was opened just now is looked at first: most of a long list is out of sight. */
const LOOK_MS = 25;

const NOTHING: Known = {
  people: NOBODY,
  me: null,
  speaker: null,
  slots: [],
  missing: [],
  own: { camera: null, screen: null },
};

/** All pictures of a page: what is wanted for them, and which slot each of them shows. */
export class Views {
  private readonly views = new Set<PictureView>();
  private readonly eyes = new Eyes(() => this.plan());
  private known = NOTHING;
  private said = '';
  private saidAt = -Infinity;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** When each slot was first said to show what it shows, by its track. */
  private readonly since = new Map<MediaStreamTrack, Shows>();

  constructor(
    private readonly slots: Readonly<Record<SlotKind, number>>,
    private readonly want: (wants: Want[]) => void,
  ) {}

  open(picture: PictureOf, options: ViewOptions): View {
    const view = new PictureView(picture, options, {
      changed: () => this.plan(),
      closed: () => {
        this.views.delete(view);
        this.eyes.forget(options.el);
        this.plan();
      },
    });
    this.views.add(view);
    this.eyes.look(options.el);
    view.show(this.known, null, this.since);
    this.plan();
    return view;
  }

  /** The room is known to be another one. */
  take(change: Partial<Known>): void {
    this.known = { ...this.known, ...change };
    if (change.slots !== undefined) this.date(change.slots);
    this.show();
    this.plan();
  }

  /** What the browser has stopped while the page was away plays on. */
  wake(): void {
    for (const view of this.views) view.play();
  }

  close(): void {
    for (const view of [...this.views]) view.close();
    // Each that closes plans anew.
    clearTimeout(this.timer);
    this.eyes.close();
  }

  /** The connections are other ones, which have heard no wants but those that the session began with. */
  private show(): void {
    const open = [...this.views];
    const kinds = slotKinds(
      open.map((view) => this.placeOf(view)),
      this.slots,
    );
    open.forEach((view, index) => view.show(this.known, kinds[index] ?? null, this.since));
  }

  private date(slots: readonly CallSlot[]): void {
    const before = new Map(this.since);
    this.since.clear();
    for (const { track, binding } of slots) {
      if (binding === null) continue;
      const from = binding.from ?? null;
      const old = before.get(track);
      const isKnown = old?.source === binding.source && old.from === from;
      this.since.set(track, isKnown ? old : { source: binding.source, from, sinceMs: performance.now() });
    }
  }

  /** Says what is wanted, in a moment: pages open and close many views at a time. */
  private plan(): void {
    if (this.timer !== undefined) return;
    const wait = Math.max(this.saidAt + SAY_EVERY_MS - performance.now(), LOOK_MS);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.say();
    }, wait);
  }

  private say(): void {
    // Before anybody is known nothing can be wanted, and an empty list would take what is shown.
    if (this.known.people.size === 0) return;
    const open = [...this.views].map((view) => ({ view, place: this.placeOf(view) }));
    const looked = open.filter(({ view, place }) => place.csrc >= 0 && this.isSeen(view));
    const kinds = slotKinds(
      open.map(({ place }) => place),
      this.slots,
    );
    const of = new Map(open.map(({ view }, index) => [view, kinds[index] ?? 'tile']));
    const wants = wantsOf(
      looked.map(({ view, place }) => ({ ...place, height: this.eyes.heightOf(view.options.el) })),
      looked.map(({ view }) => of.get(view) ?? 'tile'),
      this.sounds(),
    );
    const text = JSON.stringify(wants);
    if (text === this.said) return;
    this.said = text;
    this.saidAt = performance.now();
    this.want(wants);
  }

  private isSeen({ options }: PictureView): boolean {
    return options.always === true || this.eyes.isVisible(options.el);
  }

  /** The sounds of the others' screens, the first ones first. */
  private sounds(): number[] {
    const { people, me } = this.known;
    return [...people.values()].flatMap((person) => {
      const sound = person.participant === me ? null : sourceOf(person, 'screen_audio');
      return sound?.state === 'on' ? [sound.csrc] : [];
    });
  }

  private placeOf(view: PictureView): Place {
    const { participant, source } = view.target(this.known);
    const { people, me } = this.known;
    const own = participant === null || participant === me ? undefined : people.get(participant);
    const published = sourceOf(own, source);
    const { priority = 0, pin = false } = view.options;
    return {
      csrc: published?.state === 'on' ? published.csrc : -1,
      source,
      isSpeaker: view.picture === 'speaker',
      priority,
      pin,
    };
  }
}

/** One picture in an element. */
class PictureView implements View {
  readonly state = new Value<ViewState>({
    state: 'off',
    participant: null,
    why: null,
    width: 0,
    height: 0,
  });
  private readonly cover = new Cover();
  private readonly frames: Frames;
  private track: MediaStreamTrack | null = null;
  private isOwn = false;
  private base: Pick<ViewState, 'state' | 'participant' | 'why'> = this.state.get();
  private closed = false;
  private isVeiled = false;

  constructor(
    readonly picture: PictureOf,
    public options: ViewOptions,
    private readonly owner: { changed: () => void; closed: () => void },
  ) {
    const { el } = options;
    el.muted = true;
    el.playsInline = true;
    el.autoplay = true;
    this.frames = new Frames(el, (frame, width, height) => {
      if (this.isOwn) this.cover.bind({ source: 0, from: null, sinceMs: 0 });
      this.cover.paint(this.isOwn ? { ...frame, rtp: 0, sources: [{ source: 0, rtp: 0 }] } : frame);
      this.tell({ width, height });
    });
    this.tell({});
  }

  change(options: Omit<Partial<ViewOptions>, 'el'>): void {
    this.options = { ...this.options, ...options };
    this.owner.changed();
  }

  close(): void {
    if (this.closed) return;
    this.base = { ...this.base, state: 'off', why: null };
    this.closed = true;
    this.attach(null, null);
    this.tell({});
    this.owner.closed();
  }

  /** Whose picture it is now. */
  target({ speaker }: Known): { participant: string | null; source: 'camera' | 'screen' } {
    return this.picture === 'speaker' ? { participant: speaker, source: 'camera' } : this.picture;
  }

  /** Shows what there is. */
  show(known: Known, kind: SlotKind | null, since: ReadonlyMap<MediaStreamTrack, Shows>): void {
    if (this.closed) return;
    const { participant, source } = this.target(known);
    this.isOwn = participant !== null && participant === known.me;
    if (this.isOwn) {
      const track = known.own[source];
      this.attach(track, null);
      this.become({ state: track === null ? 'off' : 'covered', participant, why: null });
      return;
    }
    const published = participant === null ? null : sourceOf(known.people.get(participant), source);
    const csrc = published?.state === 'on' ? published.csrc : null;
    const slot = csrc === null ? null : slotOf(known.slots, csrc, kind);
    // Whose slot is being bound anew keeps what it painted last, covered.
    if (slot !== null) this.attach(slot.track, slot.receiver);
    else if (csrc === null) this.attach(null, null);
    this.cover.bind(slot === null ? null : (since.get(slot.track) ?? null));
    const missing = slot === null ? known.missing.find((one) => one.source === csrc) : undefined;
    const state = csrc === null ? 'off' : missing === undefined ? 'covered' : 'missing';
    this.become({ state, participant, why: missing?.why ?? null });
  }

  private attach(track: MediaStreamTrack | null, receiver: RTCRtpReceiver | null): void {
    if (track === this.track) return;
    this.track = track;
    this.cover.attach();
    this.tell({});
    const { el } = this.options;
    el.srcObject = track === null ? null : new MediaStream([track]);
    if (track === null) {
      this.frames.close();
      return;
    }
    this.frames.follow(receiver);
    this.play();
  }

  play(): void {
    // Refused where the page is not seen: then it plays when it is.
    if (this.track !== null) void this.options.el.play().catch(() => undefined);
  }

  private become(base: Pick<ViewState, 'state' | 'participant' | 'why'>): void {
    this.base = base;
    this.tell({});
  }

  /** Not `display`: an element without a box paints no frames. */
  private veil(on: boolean): void {
    if (on === this.isVeiled) return;
    this.isVeiled = on;
    const { style } = this.options.el;
    if (on) style.setProperty('opacity', '0');
    else style.removeProperty('opacity');
  }

  private tell(size: { width?: number; height?: number }): void {
    const { state, participant, why } = this.base;
    const isShown = state === 'covered' && this.cover.isShown;
    this.veil(!isShown && !this.closed);
    this.state.change({ ...size, state: isShown ? 'shown' : state, participant, why });
  }
}

/** The slot that shows a source, one of this kind if there are several. */
function slotOf(slots: readonly CallSlot[], csrc: number, kind: SlotKind | null): CallSlot | null {
  const showing = slots.filter(({ binding }) => binding?.source === csrc);
  return showing.find((slot) => slot.kind === kind) ?? showing[0] ?? null;
}
