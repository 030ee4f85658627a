import { cornersOf } from '../model/geometry.js';
import type { Context, Env, View } from '../render/draw.js';
import { drawShape } from '../render/draw.js';
import type { Shape } from '../model/shape.js';
import type { Desk } from '../tools/desk.js';
import type { Point } from '../types.js';
import type { LiveStrokes, Seen } from './presence.js';

/** How long a laser's trail is seen. */
const TRAIL_MS = 700;
/** How fast a shown cursor comes to where it is: it arrives 20 times a second and is shown 60 times. */
const GLIDE_MS = 45;
const LASER = '#ff2d46';
/** Of somebody's selection so many objects are marked. */
const MOST_MARKED = 60;
const LABEL_FONT = '600 12px system-ui, sans-serif';

interface Gliding {
  at: Point;
  to: Point;
}

/** What lies over the drawing and is not of it: what is being drawn, others' cursors, lasers. */
export class Overlay {
  private readonly cursors = new Map<number, Gliding>();
  private readonly trails = new Map<number | 'own', { at: Point; time: number }[]>();
  private readonly labels = new Map<string, number>();
  private before = 0;

  constructor(private readonly desk: Desk) {}

  /** Draws everything; true if it has to be drawn again in the next frame. */
  draw(
    context: Context,
    size: { width: number; height: number },
    view: View,
    env: Env,
    others: ReadonlyMap<number, Seen>,
    strokes: LiveStrokes,
    now: number,
  ): boolean {
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, size.width, size.height);
    const page = this.desk.page.get();
    for (const shape of strokes.shapes(page)) drawShape(context, shape, view, env);
    const { draft, laser } = this.desk.doing.get();
    if (draft !== null) drawShape(context, draft, view, env);
    const here = [...others.values()].filter(({ state }) => state.page === page);
    for (const seen of here) this.mark(context, seen, view, env);
    let moves = this.glide(here, now);
    this.trail('own', laser, now);
    for (const { client, state } of here) this.trail(client, state.laser ?? null, now);
    for (const key of this.trails.keys()) {
      if (key !== 'own' && !others.has(key)) this.trails.delete(key);
    }
    moves = this.drawTrails(context, view, now) || moves;
    for (const seen of here) this.cursor(context, seen, view);
    return moves;
  }

  private mark(context: Context, { state, color }: Seen, view: View, env: Env): void {
    if (state.selection === undefined) return;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.setLineDash([]);
    context.lineWidth = 1.5;
    context.strokeStyle = color;
    context.beginPath();
    for (const id of state.selection.slice(0, MOST_MARKED)) {
      const written = this.desk.editor.scene.get(id);
      const shape: Shape | undefined = this.desk.overrides.get(id)?.[0] ?? written;
      if (shape?.page !== this.desk.page.get()) continue;
      cornersOf(shape, env.measure).forEach((corner, index) => {
        const [x, y] = toPixel(view, corner);
        if (index === 0) context.moveTo(x, y);
        else context.lineTo(x, y);
      });
      context.closePath();
    }
    context.stroke();
  }

  /** Moves the shown cursors nearer to where they are. */
  private glide(here: readonly Seen[], now: number): boolean {
    const share = 1 - Math.exp(-Math.min(100, now - this.before) / GLIDE_MS);
    this.before = now;
    let moves = false;
    const present = new Set<number>();
    for (const { client, state } of here) {
      const to = state.cursor;
      if (to === undefined) continue;
      present.add(client);
      const known = this.cursors.get(client);
      if (known === undefined) {
        this.cursors.set(client, { at: to, to });
        continue;
      }
      known.to = to;
      const [dx, dy] = [to[0] - known.at[0], to[1] - known.at[1]];
      if (Math.abs(dx) + Math.abs(dy) < 0.3) known.at = to;
      else {
        known.at = [known.at[0] + dx * share, known.at[1] + dy * share];
        moves = true;
      }
    }
    for (const client of this.cursors.keys()) if (!present.has(client)) this.cursors.delete(client);
    return moves;
  }

  private cursor(context: Context, { client, color, name }: Seen, view: View): void {
    const cursor = this.cursors.get(client);
    if (cursor === undefined) return;
    const [x, y] = toPixel(view, cursor.at);
    const { width, height } = context.canvas;
    if (x < -200 || y < -40 || x > width + 20 || y > height + 20) return;
    const ratio = this.ratio(view);
    context.setTransform(ratio, 0, 0, ratio, x, y);
    context.fillStyle = color;
    context.strokeStyle = '#ffffff';
    context.lineWidth = 1.5;
    context.setLineDash([]);
    context.beginPath();
    context.moveTo(0, 0);
    context.lineTo(5, 18);
    context.lineTo(9, 11);
    context.lineTo(17, 10);
    context.closePath();
    context.fill();
    context.stroke();
    if (name === '') return;
    context.font = LABEL_FONT;
    context.textAlign = 'left';
    const wide = this.labelWidth(context, name);
    context.fillStyle = color;
    context.beginPath();
    context.roundRect(12, 18, wide + 12, 20, 6);
    context.fill();
    context.fillStyle = '#ffffff';
    context.fillText(name, 18, 32);
  }

  private labelWidth(context: Context, name: string): number {
    let width = this.labels.get(name);
    if (width === undefined) {
      width = context.measureText(name).width;
      if (this.labels.size > 500) this.labels.clear();
      this.labels.set(name, width);
    }
    return width;
  }

  private trail(key: number | 'own', at: Point | null, now: number): void {
    const trail = this.trails.get(key) ?? [];
    const last = trail.at(-1);
    if (at !== null) {
      // A laser that is held still goes on to be seen.
      if (last?.at[0] === at[0] && last.at[1] === at[1]) last.time = now;
      else trail.push({ at, time: now });
    }
    const kept = trail.filter(({ time }) => now - time < TRAIL_MS);
    if (kept.length > 0) this.trails.set(key, kept);
    else this.trails.delete(key);
  }

  private drawTrails(context: Context, view: View, now: number): boolean {
    const ratio = this.ratio(view);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.lineCap = 'round';
    context.setLineDash([]);
    context.strokeStyle = context.fillStyle = LASER;
    for (const trail of this.trails.values()) {
      for (let index = 1; index < trail.length; index++) {
        const [a, b] = [trail[index - 1], trail[index]];
        if (a === undefined || b === undefined) continue;
        const fresh = 1 - (now - b.time) / TRAIL_MS;
        context.globalAlpha = Math.max(0, fresh);
        context.lineWidth = (1 + 4 * fresh) * ratio;
        context.beginPath();
        context.moveTo(...toPixel(view, a.at));
        context.lineTo(...toPixel(view, b.at));
        context.stroke();
      }
      const head = trail.at(-1);
      if (head === undefined) continue;
      context.globalAlpha = Math.max(0, 1 - (now - head.time) / TRAIL_MS);
      context.beginPath();
      context.arc(...toPixel(view, head.at), 5 * ratio, 0, 2 * Math.PI);
      context.fill();
    }
    context.globalAlpha = 1;
    return this.trails.size > 0;
  }

  /** Pixels of the canvas for a CSS pixel. */
  private ratio({ scale }: View): number {
    return scale / this.desk.camera.get().zoom;
  }
}

function toPixel(view: View, [x, y]: Point): [number, number] {
  return [x * view.scale - view.left, y * view.scale - view.top];
}
