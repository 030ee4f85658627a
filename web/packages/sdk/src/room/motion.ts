/** Whether a shared screen moves, by its frames a second. Pure. */

/** As `contentHint` says it: text that has to be sharp, or a film. */
export type Content = 'detail' | 'motion';

/** A film has at least so many frames a second, typing and scrolling have fewer for most of the time. */
const MOVES_FPS = 18;
const RESTS_FPS = 8;
/** Seconds in a row before it is taken for the other kind: each change costs a keyframe. */
const PATIENCE = 4;

/** Follows the frames that are captured, a look a second. */
export class Motion {
  private now: Content = 'detail';
  private against = 0;

  get content(): Content {
    return this.now;
  }

  /** Takes the frames of the last second. */
  look(fps: number): Content {
    const isOther = this.now === 'detail' ? fps >= MOVES_FPS : fps <= RESTS_FPS;
    this.against = isOther ? this.against + 1 : 0;
    if (this.against >= PATIENCE) {
      this.now = this.now === 'detail' ? 'motion' : 'detail';
      this.against = 0;
    }
    return this.now;
  }
}
