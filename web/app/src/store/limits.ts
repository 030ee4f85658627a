import type { LinkStats } from '@madang/sdk';

/** Why less is sent than could be. */
export type Limitation = 'bandwidth' | 'cpu' | null;

/** Measurements in a row that say the same before it is said to anybody: encoders complain at every start. */
const STEADY = 10;
/** Of what the line is thought to carry so much is used before the line is to blame. */
const FILLED = 0.7;

/** What limits the picture, over time. Pure: one measurement a second in, what to say out. */
export class Limits {
  private seen: Limitation = null;
  private times = 0;

  /** One more measurement; null where nothing is sent. */
  next(stats: LinkStats | null): Limitation {
    const now = stats === null ? null : limitationOf(stats);
    this.times = now === this.seen ? this.times + 1 : 1;
    this.seen = now;
    return this.times >= STEADY ? now : null;
  }
}

function limitationOf({ tracks, kbps, availableKbps }: LinkStats): Limitation {
  const camera = tracks.filter(({ source, active }) => source === 'camera' && active);
  if (camera.some(({ limitation }) => limitation === 'cpu')) return 'cpu';
  const says = camera.some(({ limitation }) => limitation === 'bandwidth');
  // A line that is not used is not known: browsers guess low then, and blame it.
  const fills = availableKbps !== null && kbps >= availableKbps * FILLED;
  return says && fills ? 'bandwidth' : null;
}
