/**
 * Whether a frame that is painted is of the source that a view is for, by all that tells of it: the binding of the slot
 * and what the browser says of the frame. Pure. Browsers differ in what they say: Chromium names the source (CSRC) of the
 * very frame, Firefox that of the one before.
 */

/** What the server said of a slot. */
export interface Shows {
  source: number;
  /** RTP timestamp of the first packet of the source in the slot; null while there was none. */
  from: number | null;
  /** When `from` was learnt, in milliseconds. */
  sinceMs: number;
}

/** What the browser says of a frame that it paints. */
export interface Frame {
  atMs: number;
  /** RTP timestamp; null where the browser does not say. */
  rtp: number | null;
  /** What packets name as their source: of each source the last one that was painted, the latest first. */
  sources: readonly { source: number; rtp: number }[];
}

/** `unknown`: nothing says what it is. */
export type Verdict = 'right' | 'wrong' | 'unknown';

/** A slot that has shown a source for this long shows nothing else any more, whatever its timestamps say: they wrap. */
const SURE_MS = 60_000;

/** Whose a painted frame is. */
export function judge({ source, from, sinceMs }: Shows, { atMs, rtp, sources }: Frame): Verdict {
  const own = rtp === null ? undefined : sources.find((entry) => entry.rtp === rtp);
  if (own !== undefined) return own.source === source ? 'right' : 'wrong';
  const [last] = sources;
  const isSure = atMs - sinceMs >= SURE_MS;
  // The frame before was of another source that came after this one: the slot has moved on, and nobody has said so yet.
  if (last !== undefined && last.source !== source && (from === null || isSure || isFrom(last.rtp, from)))
    return 'wrong';
  if (from === null) return 'unknown';
  if (rtp === null) return last?.source === source ? 'right' : 'unknown';
  return isSure || isFrom(rtp, from) ? 'right' : 'wrong';
}

/** Whether `rtp` is `from` or after it, on a clock of 32 bits that wraps. */
export function isFrom(rtp: number, from: number): boolean {
  return ((rtp - from) | 0) >= 0;
}

/** Whether a view is covered: until a frame of what its slot shows is painted, and again when another one is. */
export class Cover {
  private shows: Shows | null = null;
  private last: Frame | null = null;
  private open = false;

  get isShown(): boolean {
    return this.open;
  }

  /** The element paints another track from now on, or none: no frame of it was painted yet. */
  attach(): void {
    this.last = null;
    this.open = false;
  }

  /** What the slot of the track shows; null covers. */
  bind(shows: Shows | null): void {
    const isOther = shows?.source !== this.shows?.source;
    this.shows = shows;
    if (isOther || shows === null) this.open = false;
    if (this.last !== null) this.look(this.last);
  }

  /** A frame was painted. */
  paint(frame: Frame): void {
    this.last = frame;
    this.look(frame);
  }

  private look(frame: Frame): void {
    const verdict = this.shows === null ? 'unknown' : judge(this.shows, frame);
    if (verdict !== 'unknown') this.open = verdict === 'right';
  }
}
