/** Louder than this is speech in front of the microphone, not a room. */
const SPEECH = 0.12;
/** A cough is shorter. */
const SPOKEN_MS = 350;
/** A pause between words is shorter. */
const PAUSE_MS = 250;
/** After it was said, or put away, it is not said again for this long. */
const QUIET_MS = 20_000;

/** Notices that somebody speaks while muted. Levels and times in; says once that it is so. */
export class MutedTalk {
  private since: number | null = null;
  private last = 0;
  private quietUntil = -Infinity;

  /** True if it is to be said now. */
  level(level: number, muted: boolean, now: number): boolean {
    if (!muted) {
      this.since = null;
      this.quietUntil = -Infinity;
      return false;
    }
    if (level >= SPEECH) {
      this.since ??= now;
      this.last = now;
    } else if (now - this.last > PAUSE_MS) {
      this.since = null;
    }
    if (this.since === null || now < this.quietUntil || this.last - this.since < SPOKEN_MS) return false;
    this.quietUntil = now + QUIET_MS;
    return true;
  }
}
