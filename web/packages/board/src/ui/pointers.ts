import { begin } from '../tools/begin.js';
import { onPage, panned, zoomed } from '../tools/camera.js';
import type { Desk } from '../tools/desk.js';
import { Stroke } from '../tools/draw.js';
import type { Gesture, Pointer } from '../tools/gesture.js';
import { DragEnd, Resize, Turn } from '../tools/move.js';
import { Rub } from '../tools/rub.js';
import type { Point } from '../types.js';
import type { Grip } from './handles.js';

/** A second finger within this time, or before the first has gone far, means two fingers from the start. */
const TOGETHER_MS = 250;
const TOGETHER_PX = 16;
/** How near is on something, in CSS pixels: a finger is not a point. */
const REACH = { mouse: 5, pen: 6, touch: 14 } as const;

interface Down {
  at: Point;
  type: string;
}

export interface PointerHost {
  desk(): Desk;
  gripOf(target: EventTarget | null): Grip | null;
  /** The person looks at something else: nobody is followed any more. */
  moved(): void;
  /** Where the pointer is on the page; null when it has gone. */
  hovers(at: Point | null): void;
  /** Somebody tried to draw who may not. */
  refused(): void;
  isSpaceHeld(): boolean;
}

/** What mouse, fingers and pencil do on the board. */
export class Pointers {
  private readonly down = new Map<number, Down>();
  private gesture: { by: number; gesture: Gesture; since: number; from: Point } | null = null;
  private panning: number | null = null;
  /** From the first pencil on fingers move the page, so a palm draws nothing. */
  private pencil = false;
  private scale = 1;

  constructor(
    private readonly root: HTMLElement,
    private readonly host: PointerHost,
  ) {
    root.addEventListener('pointerdown', this.press);
    root.addEventListener('pointermove', this.drag);
    root.addEventListener('pointerup', this.release);
    root.addEventListener('pointercancel', this.lose);
    root.addEventListener('pointerleave', () => host.hovers(null));
    root.addEventListener('wheel', this.wheel, { passive: false });
    root.addEventListener('contextmenu', (event) => event.preventDefault());
    // Safari tells a pinch on a trackpad in its own way.
    root.addEventListener('gesturestart', (event) => {
      event.preventDefault();
      this.scale = 1;
    });
    root.addEventListener('gesturechange', this.pinchOfSafari);
  }

  get isBusy(): boolean {
    return this.gesture !== null;
  }

  /** Ends what goes on, as if it had not begun. */
  cancel(): void {
    this.gesture?.gesture.cancel();
    this.gesture = null;
    this.panning = null;
  }

  private at({ clientX, clientY }: { clientX: number; clientY: number }): Point {
    const { left, top } = this.root.getBoundingClientRect();
    return [clientX - left, clientY - top];
  }

  private pointer(event: PointerEvent): Pointer {
    const desk = this.host.desk();
    const screen = this.at(event);
    const reach = REACH[event.pointerType as keyof typeof REACH] as number | undefined;
    return {
      screen,
      at: onPage(desk.camera.get(), screen),
      shift: event.shiftKey,
      alt: event.altKey,
      pressure: event.pointerType === 'pen' && event.pressure > 0 ? event.pressure : null,
      reach: (reach ?? REACH.mouse) / desk.camera.get().zoom,
    };
  }

  private readonly press = (event: PointerEvent): void => {
    const target = event.target as HTMLElement | null;
    if (target instanceof HTMLTextAreaElement) return;
    const grip = this.host.gripOf(target);
    // Keys go to the board from now on, also after a handle was dragged.
    event.preventDefault();
    this.root.focus({ preventScroll: true });
    const { pointerId, pointerType, button, buttons } = event;
    if (pointerType === 'mouse' && button === 2) return;
    this.down.set(pointerId, { at: this.at(event), type: pointerType });
    this.root.setPointerCapture(pointerId);
    if (pointerType === 'pen') this.pencil = true;
    const touches = [...this.down.values()].filter(({ type }) => type === 'touch').length;
    if (touches === 2) {
      this.together();
      return;
    }
    if (touches > 2 || this.gesture !== null) return;
    const desk = this.host.desk();
    const pans =
      button === 1 ||
      desk.tool.get() === 'hand' ||
      this.host.isSpaceHeld() ||
      (this.pencil && pointerType === 'touch');
    if (pans) {
      this.panning = pointerId;
      return;
    }
    const pointer = this.pointer(event);
    // The other end of a pencil.
    const isRubber = pointerType === 'pen' && (buttons & 32) !== 0;
    const gesture = isRubber ? this.rubber(desk, pointer) : this.begin(desk, grip, pointer);
    if (gesture === null) return;
    this.gesture = { by: pointerId, gesture, since: event.timeStamp, from: pointer.screen };
  };

  private rubber(desk: Desk, pointer: Pointer): Gesture | null {
    return desk.may.get() ? new Rub(desk, pointer) : null;
  }

  private begin(desk: Desk, grip: Grip | null, pointer: Pointer): Gesture | null {
    if (grip?.kind === 'resize') return new Resize(desk, grip.handle, pointer);
    if (grip?.kind === 'turn') return new Turn(desk, pointer);
    const [shape] = desk.selected();
    if (grip?.kind === 'end' && shape !== undefined) return new DragEnd(desk, shape, grip.end);
    const gesture = begin(desk, pointer);
    if (gesture === null) this.host.refused();
    return gesture;
  }

  /** Two fingers move and zoom. What the first one began was not meant, unless it has gone on for a while. */
  private together(): void {
    const { gesture } = this;
    if (gesture !== null) {
      const { at } = this.down.get(gesture.by) ?? { at: gesture.from };
      const far = Math.hypot(at[0] - gesture.from[0], at[1] - gesture.from[1]);
      const isEarly = performance.now() - gesture.since < TOGETHER_MS || far < TOGETHER_PX;
      if (isEarly || !(gesture.gesture instanceof Stroke)) gesture.gesture.cancel();
      else gesture.gesture.up(this.pointerAt(at));
      this.gesture = null;
    }
    this.panning = null;
  }

  private pointerAt(screen: Point): Pointer {
    const at = onPage(this.host.desk().camera.get(), screen);
    return { screen, at, shift: false, alt: false, pressure: null, reach: 0 };
  }

  private readonly drag = (event: PointerEvent): void => {
    const { pointerId } = event;
    const before = this.down.get(pointerId);
    const desk = this.host.desk();
    const at = this.at(event);
    if (event.pointerType !== 'touch') this.host.hovers(onPage(desk.camera.get(), at));
    if (before === undefined) return;
    const touches = [...this.down].filter(([, { type }]) => type === 'touch');
    if (touches.length === 2 && before.type === 'touch' && this.gesture === null) {
      const other = touches.find(([id]) => id !== pointerId)?.[1].at ?? at;
      this.pinch(desk, before.at, at, other);
    } else if (this.panning === pointerId) {
      desk.look(panned(desk.camera.get(), at[0] - before.at[0], at[1] - before.at[1]));
      this.host.moved();
    } else if (this.gesture?.by === pointerId) {
      const { gesture } = this.gesture;
      // A browser gives positions once a frame, and with them those in between.
      // Not every browser has them, and none without TLS.
      const parts = (event as Partial<PointerEvent>).getCoalescedEvents?.call(event) ?? [];
      if (gesture instanceof Stroke && parts.length > 1) {
        for (const part of parts) gesture.move(this.pointer(part));
      } else gesture.move(this.pointer(event));
    }
    this.down.set(pointerId, { ...before, at });
  };

  private pinch(desk: Desk, from: Point, to: Point, other: Point): void {
    const distance = (point: Point): number => Math.hypot(point[0] - other[0], point[1] - other[1]);
    const by = distance(to) / Math.max(1, distance(from));
    const camera = panned(desk.camera.get(), (to[0] - from[0]) / 2, (to[1] - from[1]) / 2);
    const middle: Point = [(to[0] + other[0]) / 2, (to[1] + other[1]) / 2];
    desk.look(zoomed(camera, camera.zoom * by, middle));
    this.host.moved();
  }

  private readonly release = (event: PointerEvent): void => {
    this.down.delete(event.pointerId);
    if (this.panning === event.pointerId) this.panning = null;
    if (event.pointerType === 'touch') this.host.hovers(null);
    if (this.gesture?.by !== event.pointerId) return;
    const { gesture } = this.gesture;
    this.gesture = null;
    gesture.up(this.pointer(event));
  };

  private readonly lose = ({ pointerId }: PointerEvent): void => {
    this.down.delete(pointerId);
    if (this.panning === pointerId) this.panning = null;
    if (this.gesture?.by !== pointerId) return;
    this.gesture.gesture.cancel();
    this.gesture = null;
  };

  private readonly wheel = (event: WheelEvent): void => {
    event.preventDefault();
    const desk = this.host.desk();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 24 : event.deltaMode === 2 ? 400 : 1;
    const [dx, dy] = [event.deltaX * unit, event.deltaY * unit];
    const camera = desk.camera.get();
    if (event.ctrlKey || event.metaKey) {
      const by = Math.exp(-Math.max(-60, Math.min(60, dy)) * 0.01);
      desk.look(zoomed(camera, camera.zoom * by, this.at(event)));
    } else if (event.shiftKey && dx === 0) desk.look(panned(camera, -dy, 0));
    else desk.look(panned(camera, -dx, -dy));
    this.host.moved();
  };

  private readonly pinchOfSafari = (event: Event): void => {
    event.preventDefault();
    const { scale = 1, clientX = 0, clientY = 0 } = event as Partial<MouseEvent> & { scale?: number };
    const desk = this.host.desk();
    const camera = desk.camera.get();
    desk.look(zoomed(camera, (camera.zoom * scale) / this.scale, this.at({ clientX, clientY })));
    this.scale = scale;
    this.host.moved();
  };
}
