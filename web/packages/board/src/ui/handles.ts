import { middleOf, NO_CHANGE, toPage } from '../model/geometry.js';
import type { Shape } from '../model/shape.js';
import { onScreen } from '../tools/camera.js';
import type { Desk } from '../tools/desk.js';
import { type Frame, frameOf, type Handle, HANDLES, resize } from '../tools/move.js';

/** What a handle is for. */
export type Grip = { kind: 'resize'; handle: Handle } | { kind: 'turn' } | { kind: 'end'; end: 0 | 1 };

export interface HandleWords {
  resize: string;
  turn: string;
  end: (end: 0 | 1) => string;
}

/** An arrow key on a handle changes by so many CSS pixels, with Shift by one. */
const STEP = 10;
const TURN_STEP = Math.PI / 12;

const ARROWS: Record<string, readonly [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** The frame around what is selected: elements over the canvas, so that keys and screen readers reach them. */
export class Handles {
  readonly root = document.createElement('div');
  private readonly grips = new Map<HTMLElement, Grip>();
  private readonly resizers: HTMLElement[];
  private readonly turner: HTMLElement;
  private readonly ends: HTMLElement[];

  constructor(
    private readonly desk: Desk,
    words: HandleWords,
  ) {
    this.root.className = 'board-frame';
    this.resizers = HANDLES.map((handle) => {
      const grip = this.grip({ kind: 'resize', handle }, words.resize);
      grip.style.left = `${(handle.x + 1) * 50}%`;
      grip.style.top = `${(handle.y + 1) * 50}%`;
      // One of them is enough for keys: the lower right.
      grip.tabIndex = handle.x + handle.y === 2 ? 0 : -1;
      return grip;
    });
    this.turner = this.grip({ kind: 'turn' }, words.turn);
    this.turner.dataset.turn = '';
    this.ends = ([0, 1] as const).map((end) => this.grip({ kind: 'end', end }, words.end(end)));
  }

  /** What was pressed, if it is a handle. */
  gripOf(target: EventTarget | null): Grip | null {
    return target instanceof HTMLElement ? (this.grips.get(target) ?? null) : null;
  }

  /** Shows the frame where the selection is now. */
  update(): void {
    const { desk, root } = this;
    const shapes = desk.selected().map((shape) => desk.overrides.get(shape.id)?.[0] ?? shape);
    const isHidden = desk.writing.get() !== null || desk.doing.get().draft !== null;
    const frame = isHidden ? null : frameOf(desk, shapes);
    root.hidden = frame === null;
    if (frame === null) return;
    const [only] = shapes;
    const isLine = shapes.length === 1 && (only?.type === 'line' || only?.type === 'arrow');
    const isFree = desk.may.get() && shapes.some(({ locked }) => !locked);
    root.dataset.locked = String(shapes.every(({ locked }) => locked));
    root.dataset.line = String(isLine);
    this.resizers.forEach((grip, index) => {
      const handle = HANDLES[index];
      const isSide = handle !== undefined && (handle.x === 0 || handle.y === 0);
      grip.hidden = !isFree || isLine || (isSide && !this.hasSides(frame));
    });
    this.turner.hidden = !isFree || isLine;
    for (const end of this.ends) end.hidden = !isFree || !isLine;
    this.place(frame);
    if (isLine) this.placeEnds(only, frame);
  }

  /** An arrow key on a handle. True if it did something. */
  key(target: EventTarget | null, key: string, fine: boolean): boolean {
    const grip = this.gripOf(target);
    const arrow = ARROWS[key];
    if (grip === null || arrow === undefined) return false;
    const { desk } = this;
    const shapes = desk.selected().filter(({ locked }) => !locked);
    const frame = frameOf(desk, shapes);
    if (frame === null || !desk.may.get()) return false;
    const ids = shapes.map(({ id }) => id);
    const by = (fine ? 1 : STEP) / desk.camera.get().zoom;
    const [dx, dy] = [arrow[0] * by, arrow[1] * by];
    if (grip.kind === 'resize') {
      desk.editor.change(ids, resize(frame, grip.handle, [dx, dy], false, false));
    } else if (grip.kind === 'turn') {
      const [x, y] = toPage(frame.t, middleOf(frame.box));
      const angle = (arrow[0] + arrow[1]) * (fine ? TURN_STEP / 15 : TURN_STEP);
      desk.editor.change(ids, { ...NO_CHANGE, x, y, angle });
    } else {
      const [shape] = shapes;
      const [x = 0, y = 0] = shape?.points?.slice(-2) ?? [];
      if (shape === undefined) return false;
      const { t } = shape;
      const isStart = grip.end === 0;
      desk.editor.reshape(shape.id, {
        t: isStart ? [t[0] + dx, t[1] + dy, t[2], t[3], t[4]] : t,
        points: Float32Array.of(0, 0, x + (isStart ? -dx : dx) / t[2], y + (isStart ? -dy : dy) / t[3]),
      });
    }
    return true;
  }

  private hasSides({ free, box }: Frame): boolean {
    const { zoom } = this.desk.camera.get();
    return free && (box.right - box.left) * zoom > 40 && (box.bottom - box.top) * zoom > 40;
  }

  private place({ t, box }: Frame): void {
    const camera = this.desk.camera.get();
    const [x, y] = onScreen(camera, toPage(t, [box.left, box.top]));
    const { style } = this.root;
    style.transform = `translate(${x}px, ${y}px) rotate(${t[4]}rad)`;
    style.width = `${(box.right - box.left) * camera.zoom}px`;
    style.height = `${(box.bottom - box.top) * camera.zoom}px`;
  }

  private placeEnds({ points, t }: Shape, { box }: Frame): void {
    const { zoom } = this.desk.camera.get();
    const [x = 0, y = 0] = points?.slice(-2) ?? [];
    const places = [
      [0, 0],
      [x * t[2], y * t[3]],
    ] as const;
    this.ends.forEach((end, index) => {
      const [px, py] = places[index] ?? [0, 0];
      end.style.left = `${(px - box.left) * zoom}px`;
      end.style.top = `${(py - box.top) * zoom}px`;
    });
  }

  private grip(grip: Grip, label: string): HTMLElement {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'board-handle';
    button.setAttribute('aria-label', label);
    button.title = label;
    this.grips.set(button, grip);
    this.root.append(button);
    return button;
  }
}
