import { boundsOf, type Box, isEmpty, meets, union } from '../model/geometry.js';
import type { Changed } from '../model/scene.js';
import type { Shape } from '../model/shape.js';
import { type Context, drawShape, type Env, pageBox, pixelBox, type View } from './draw.js';

/** A canvas to draw on. */
export interface Surface {
  readonly canvas: CanvasImageSource & { width: number; height: number };
  readonly context: Context;
}

/** Changed parts are kept apart up to this number, then drawn as one. */
const MOST_PARTS = 6;
/** So many objects are drawn before the clock is looked at. */
const BETWEEN_LOOKS = 8;
/** What has more objects than this is drawn out of sight first, over several frames if it has to. */
const AT_ONCE = 60;

/** A picture that is being drawn out of sight. */
interface Job {
  view: View;
  /** Pixels. */
  box: Box;
  shapes: Shape[];
  next: number;
}

/**
 * Keeps a canvas showing a page, at the cost of what changed: an object on top is drawn over what is there, a change
 * redraws its surroundings, a moved view moves the picture. What takes longer than a frame may is drawn out of sight, and
 * until it is ready the last whole picture is shown at the new place and size. In the end it is the same picture as
 * `drawBoard` makes, pixel by pixel.
 */
export class Painter {
  private view: View = { left: 0, top: 0, scale: 1 };
  /** Parts of the page that are not as they should be. */
  private parts: Box[] = [];
  /** Objects that lie on top of all there is: drawn without a redraw of anything. */
  private fresh: Shape[] = [];
  private job: Job | null = null;
  private hidden: Surface | null = null;
  /** The last whole picture, while that of the present view is not ready. */
  private last: { surface: Surface; view: View } | null = null;
  private shownAs: View | null = null;

  constructor(
    private readonly surface: Surface,
    private readonly create: (width: number, height: number) => Surface,
    /** The objects of the page, from the lowest to the topmost, as they are to be shown. */
    private readonly shapes: () => readonly Shape[],
    private env: Env,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Whether there is anything to do in the next frame. */
  get isIdle(): boolean {
    return this.parts.length === 0 && this.fresh.length === 0 && this.job === null && this.last === null;
  }

  /** Everything is drawn anew: another page, another theme, another size of the canvas. */
  reset(view: View, env: Env = this.env): void {
    this.view = view;
    this.env = env;
    this.job = this.last = this.shownAs = null;
    this.fresh = [];
    this.hidden = null;
    this.surface.context.setTransform(1, 0, 0, 1, 0, 0);
    this.surface.context.clearRect(0, 0, this.width, this.height);
    this.parts = [this.seen()];
  }

  /** Objects changed. */
  change(changes: readonly Changed[]): void {
    const { measure } = this.env;
    for (const { before, after } of changes) {
      if (before === null && after !== null && this.isOnTop(after)) this.fresh.push(after);
      else {
        if (before !== null) this.invalidate(boundsOf(before, measure));
        if (after !== null) this.invalidate(boundsOf(after, measure));
      }
    }
  }

  /** A part of the page is not as it should be. */
  invalidate(box: Box): void {
    if (!meets(box, this.seen()) && this.last === null) return;
    let added = box;
    // What overlaps becomes one, so nothing is drawn twice.
    for (let index = this.parts.findIndex((part) => meets(part, added)); index >= 0;) {
      const [part] = this.parts.splice(index, 1);
      if (part !== undefined) added = union(part, added);
      index = this.parts.findIndex((other) => meets(other, added));
    }
    this.parts.push(added);
    if (this.parts.length > MOST_PARTS) this.parts = [this.parts.reduce(union)];
  }

  /** Shows another part of the page. */
  look(view: View): void {
    const before = this.view;
    if (before.left === view.left && before.top === view.top && before.scale === view.scale) return;
    this.view = view;
    if (this.last !== null) return;
    if (this.job !== null) {
      // Half of a picture is of no use: what was to be drawn is still to be drawn.
      this.parts.push(pageBox(this.job.view, this.job.box));
      this.hidden?.context.restore();
      this.job = null;
    }
    if (before.scale === view.scale) this.move(before.left - view.left, before.top - view.top);
    else this.keep(before);
  }

  /** Works for `budget` milliseconds at most, or a little longer. True if everything is as it should be. */
  frame(budget: number): boolean {
    const until = this.now() + budget;
    if (this.last === null) {
      this.drawFresh();
      if (this.job === null) this.drawParts(until);
    }
    if (this.last !== null && this.job === null) this.begin(this.view, this.all());
    if (this.last !== null) this.stretch();
    if (this.job !== null) this.work(until);
    return this.isIdle;
  }

  private get width(): number {
    return this.surface.canvas.width;
  }

  private get height(): number {
    return this.surface.canvas.height;
  }

  private all(): Box {
    return { left: 0, top: 0, right: this.width, bottom: this.height };
  }

  private seen(): Box {
    return pageBox(this.view, this.all());
  }

  /** Whether nothing that an object overlaps lies above it. */
  private isOnTop(shape: Shape): boolean {
    if (this.last !== null || this.job !== null || this.parts.length > 0) return false;
    const shapes = this.shapes();
    const bounds = boundsOf(shape, this.env.measure);
    for (let index = shapes.length - 1; index >= 0; index--) {
      const other = shapes[index];
      if (other === undefined || other === shape) return other === shape;
      // Others that are fresh come in their order.
      if (meets(boundsOf(other, this.env.measure), bounds)) return false;
    }
    return false;
  }

  private drawFresh(): void {
    const fresh = this.fresh;
    this.fresh = [];
    for (const shape of fresh) drawShape(this.surface.context, shape, this.view, this.env);
  }

  private drawParts(until: number): void {
    const { context } = this.surface;
    while (this.parts.length > 0 && this.job === null) {
      const part = this.parts.pop();
      if (part === undefined) break;
      const box = this.cut(pixelBox(this.view, part));
      if (isEmpty(box) || box.right === box.left || box.bottom === box.top) continue;
      const shapes = this.within(pageBox(this.view, box));
      if (shapes.length > AT_ONCE || this.now() > until) {
        this.begin(this.view, box, shapes);
        continue;
      }
      clip(context, box);
      for (const shape of shapes) drawShape(context, shape, this.view, this.env);
      context.restore();
    }
  }

  private cut({ left, top, right, bottom }: Box): Box {
    return {
      left: Math.max(0, left),
      top: Math.max(0, top),
      right: Math.min(this.width, right),
      bottom: Math.min(this.height, bottom),
    };
  }

  private within(box: Box): Shape[] {
    const { measure } = this.env;
    return this.shapes().filter((shape) => meets(boundsOf(shape, measure), box));
  }

  private begin(view: View, box: Box, shapes = this.within(pageBox(view, box))): void {
    this.hidden ??= this.create(this.width, this.height);
    if (this.last !== null) this.parts = [];
    this.job = { view, box, shapes, next: 0 };
    clip(this.hidden.context, box);
  }

  private work(until: number): void {
    const { job, hidden } = this;
    if (job === null || hidden === null) return;
    while (job.next < job.shapes.length) {
      const shape = job.shapes[job.next++];
      if (shape !== undefined) drawShape(hidden.context, shape, job.view, this.env);
      if (job.next % BETWEEN_LOOKS === 0 && this.now() > until) return;
    }
    hidden.context.restore();
    this.job = null;
    const isPresent = isSame(job.view, this.view);
    if (this.last === null || isPresent) {
      const { left, top, right, bottom } = job.box;
      const [width, height] = [right - left, bottom - top];
      const { context } = this.surface;
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(left, top, width, height);
      context.drawImage(hidden.canvas, left, top, width, height, left, top, width, height);
      this.last = this.shownAs = null;
      return;
    }
    // It is a whole picture, if not of what is looked at now: a better one to show meanwhile.
    this.hidden = this.last.surface;
    this.last = { surface: hidden, view: job.view };
    this.shownAs = null;
    this.stretch();
  }

  /** Moves the picture, and draws what comes into sight. */
  private move(dx: number, dy: number): void {
    this.drawFresh();
    const { context, canvas } = this.surface;
    const { width, height } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalCompositeOperation = 'copy';
    context.drawImage(canvas, dx, dy);
    context.globalCompositeOperation = 'source-over';
    const strips: Box[] = [];
    if (dx > 0) strips.push({ left: 0, top: 0, right: dx, bottom: height });
    if (dx < 0) strips.push({ left: width + dx, top: 0, right: width, bottom: height });
    if (dy > 0) strips.push({ left: 0, top: 0, right: width, bottom: dy });
    if (dy < 0) strips.push({ left: 0, top: height + dy, right: width, bottom: height });
    for (const strip of strips) this.invalidate(pageBox(this.view, this.cut(strip)));
  }

  /** Keeps the whole picture that there is, to show it at another size. */
  private keep(view: View): void {
    this.drawFresh();
    const surface = this.create(this.width, this.height);
    surface.context.drawImage(this.surface.canvas, 0, 0);
    this.last = { surface, view };
    this.shownAs = view;
  }

  /** Shows the last whole picture where it belongs now. */
  private stretch(): void {
    if (this.last === null || (this.shownAs !== null && isSame(this.shownAs, this.view))) return;
    const { surface, view } = this.last;
    const { context } = this.surface;
    const by = this.view.scale / view.scale;
    context.setTransform(by, 0, 0, by, view.left * by - this.view.left, view.top * by - this.view.top);
    context.globalCompositeOperation = 'copy';
    context.drawImage(surface.canvas, 0, 0);
    context.globalCompositeOperation = 'source-over';
    this.shownAs = this.view;
  }
}

function isSame(one: View, other: View): boolean {
  return one.left === other.left && one.top === other.top && one.scale === other.scale;
}

/** Clears a rectangle and lets nothing be drawn outside of it until `restore`. */
function clip(context: Context, { left, top, right, bottom }: Box): void {
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.beginPath();
  context.rect(left, top, right - left, bottom - top);
  context.clip();
  context.clearRect(left, top, right - left, bottom - top);
}
