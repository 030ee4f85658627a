import type { Desk } from '../tools/desk.js';
import type { Board, Point, PresenceState } from '../types.js';

/** At most 20 times a second, and no more than this many bytes in a millisecond: a thin line has to carry it. */
const LEAST_MS = 50;
const BYTES_PER_MS = 8;
const MOST_IDS = 60;

/** Tells the others what one is doing. */
export class Teller {
  cursor: Point | null = null;
  presenting = false;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private next = 0;
  private last = '';

  constructor(
    private readonly presence: Board['presence'],
    private readonly desk: () => Desk,
  ) {}

  /** Something is otherwise. */
  readonly touch = (): void => {
    if (this.timer !== null) return;
    this.timer = setTimeout(() => this.send(), Math.max(0, this.next - performance.now()));
  };

  close(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.presence.set({});
  }

  private send(): void {
    this.timer = null;
    const state = this.state();
    const text = JSON.stringify(state);
    if (text === this.last) return;
    this.last = text;
    this.next = performance.now() + Math.max(LEAST_MS, text.length / BYTES_PER_MS);
    this.presence.set(state);
  }

  private state(): PresenceState {
    const desk = this.desk();
    const { stroke, moving, laser } = desk.doing.get();
    const [x, y] = desk.middle().map(rounded);
    const { zoom } = desk.camera.get();
    const { width, height } = desk.size;
    const state: PresenceState = {
      page: desk.page.get(),
      view: { x: x ?? 0, y: y ?? 0, width: rounded(width / zoom), height: rounded(height / zoom) },
    };
    if (this.cursor !== null) state.cursor = [rounded(this.cursor[0]), rounded(this.cursor[1])];
    if (desk.selection.get().size > 0) state.selection = [...desk.selection.get()].slice(0, MOST_IDS);
    if (stroke !== null) state.stroke = stroke;
    if (moving !== null) state.moving = moving;
    if (laser !== null) state.laser = [rounded(laser[0]), rounded(laser[1])];
    if (this.presenting) state.presenting = true;
    return state;
  }
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
