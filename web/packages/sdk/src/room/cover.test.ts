import { describe, expect, it } from 'vitest';
import { dice } from '../dice.test.util.js';
import { Cover, type Frame, isFrom, judge, type Shows } from './cover.js';

const ANNA = 6;
const BERT = 10;

function shows(source: number, from: number | null, sinceMs = 0): Shows {
  return { source, from, sinceMs };
}

function frame(rtp: number | null, ...sources: [source: number, rtp: number][]): Frame {
  return { atMs: 100, rtp, sources: sources.map(([source, rtp]) => ({ source, rtp })) };
}

describe('a painted frame', () => {
  it('is of the source that the browser names for it, whatever else is said', () => {
    expect(judge(shows(ANNA, null), frame(900, [ANNA, 900], [BERT, 600]))).toBe('right');
    expect(judge(shows(ANNA, 0), frame(900, [BERT, 900], [ANNA, 600]))).toBe('wrong');
  });

  it('is of the bound source from its timestamp on, also where the clock wraps', () => {
    expect(judge(shows(ANNA, null), frame(900))).toBe('unknown');
    expect(judge(shows(ANNA, 900), frame(899))).toBe('wrong');
    expect(judge(shows(ANNA, 900), frame(900))).toBe('right');
    expect(judge(shows(ANNA, 2 ** 32 - 10), frame(20))).toBe('right');
    expect(judge(shows(ANNA, 20), frame(2 ** 32 - 10))).toBe('wrong');
    expect([isFrom(0, 2 ** 32 - 1), isFrom(2 ** 32 - 1, 0)]).toEqual([true, false]);
  });

  it('is right in a slot that has shown nothing else for long, when half of the clock has gone by', () => {
    const late = { ...frame(2 ** 31 + 5), atMs: 60_000 };
    expect([judge(shows(ANNA, 0), late), judge(shows(ANNA, 0, 30_000), late)]).toEqual(['right', 'wrong']);
  });

  it('is judged by the frame before where the browser names no timestamp', () => {
    expect(judge(shows(ANNA, 900), frame(null))).toBe('unknown');
    expect(judge(shows(ANNA, 900), frame(null, [ANNA, 900]))).toBe('right');
    expect(judge(shows(ANNA, 900), frame(null, [BERT, 600]))).toBe('unknown');
  });

  it('is wrong where the slot has moved on and nobody has said so yet', () => {
    expect(judge(shows(ANNA, 900), frame(1_800, [BERT, 1_500], [ANNA, 1_200]))).toBe('wrong');
    // What the slot showed before says nothing.
    expect(judge(shows(ANNA, 900), frame(900, [BERT, 600]))).toBe('right');
  });
});

/** What a browser says with a frame. */
type Names = 'exact' | 'late' | 'nothing';

/** A slot that shows one source after another, and what a page hears of it: frames, and bindings sooner or later. */
class Slot {
  private readonly all: { source: number; from: number }[] = [];
  private readonly unheard: Shows[] = [];
  private readonly painted = new Map<number, number>();
  private previous: { source: number; rtp: number } | null = null;
  private atMs = 0;
  constructor(
    private rtp: number,
    private readonly names: Names,
  ) {}

  get source(): number | null {
    return this.all.at(-1)?.source ?? null;
  }

  /** The server shows another source from the next frame on: it says which, and then from when on. */
  turn(source: number): void {
    this.all.push({ source, from: (this.rtp + 3_000) >>> 0 });
    this.unheard.push(shows(source, null, this.atMs), shows(source, (this.rtp + 3_000) >>> 0, this.atMs));
  }

  paint(): Frame | null {
    const { source } = this;
    this.atMs += 33;
    if (source === null) return null;
    this.rtp = (this.rtp + 3_000) >>> 0;
    if (this.names === 'exact') this.painted.set(source, this.rtp);
    if (this.names === 'late' && this.previous !== null)
      this.painted.set(this.previous.source, this.previous.rtp);
    this.previous = { source, rtp: this.rtp };
    const known = [...this.painted].map(([source, rtp]) => ({ source, rtp }));
    const sources = known.sort((a, b) => (isFrom(a.rtp, b.rtp) ? -1 : 1));
    return { atMs: this.atMs, rtp: this.rtp, sources };
  }

  hear(): Shows | null {
    return this.unheard.shift() ?? null;
  }

  get isQuiet(): boolean {
    return this.unheard.length === 0;
  }
}

describe.each<Names>(['exact', 'late', 'nothing'])('in any order, names given %s', (names) => {
  it('a view shows no frame of another source that its page asked for, and comes to show its own', () => {
    let switched = 0;
    for (let seed = 0; seed < 400; seed += 1) {
      const roll = dice(seed);
      // Now and then the clock wraps on the way.
      const slot = new Slot(roll(2) === 0 ? 2 ** 32 - 30_000 : roll(2 ** 32), names);
      const cover = new Cover();
      let wanted: number | null = null;
      let wrong = 0;
      const hear = (): void => {
        const heard = slot.hear();
        // A page binds only what it wants now: all else covers.
        if (heard !== null) cover.bind(heard.source === wanted ? heard : null);
      };
      const paint = (): void => {
        const frame = slot.paint();
        if (frame === null) return;
        cover.paint(frame);
        if (!cover.isShown) {
          wrong = 0;
          return;
        }
        expect(wanted, `seed ${seed}: nothing is wanted`).not.toBeNull();
        // Of one that the page did not ask for, the first frame may be seen, until the browser or the server tells.
        wrong = slot.source === wanted ? 0 : wrong + 1;
        const allowed = names === 'exact' ? 0 : names === 'late' ? 1 : Infinity;
        expect(wrong, `seed ${seed}`).toBeLessThanOrEqual(allowed);
        if (names === 'nothing' && slot.isQuiet) expect(wrong, `seed ${seed}: all is heard`).toBe(0);
      };
      const steps = [
        paint,
        paint,
        hear,
        () => {
          wanted = ANNA + 4 * roll(5);
          cover.bind(null);
          slot.turn(wanted);
          switched += 1;
        },
        () => {
          if (roll(4) === 0) slot.turn(BERT + 1);
        },
      ];
      for (let step = 0; step < 80; step += 1) steps[roll(steps.length)]?.();
      wanted = ANNA;
      cover.bind(null);
      slot.turn(ANNA);
      while (!slot.isQuiet) hear();
      paint();
      expect(cover.isShown, `seed ${seed}: shown at the first frame`).toBe(true);
    }
    expect(switched).toBeGreaterThan(1_000);
  });
});
