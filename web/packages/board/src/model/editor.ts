import * as Y from 'yjs';
import type { Point } from '../types.js';
import type { Piece } from './erase.js';
import {
  around,
  type Box,
  type Change,
  changed,
  cornersOf,
  isEmpty,
  middleOf,
  NO_CHANGE,
  NOWHERE,
  union,
} from './geometry.js';
import { orderBetween, ordersBetween } from './order.js';
import { encodePoints } from './points.js';
import { addPage, pagesOf, removePage, renamePage } from './pages.js';
import { Scene } from './scene.js';
import { MAX_TEXT, newId, type Shape, type Transform } from './shape.js';
import { difference, type Measure } from './text.js';
import { type Draft, objectOf } from './write.js';

/** What can be chosen for objects that are there. */
export type Style = Partial<Pick<Shape, 'color' | 'fill' | 'width' | 'dashed' | 'fontSize'>>;
export type Step = 'front' | 'forward' | 'backward' | 'back';
export type Side = 'left' | 'center' | 'right' | 'top' | 'middle' | 'bottom';

/**
 * What one person does to a document, one step of undo each. Undo and redo are of what this person did: what others did
 * meanwhile stays, and what another has deleted does not come back because it was moved before.
 */
export class Editor {
  readonly scene: Scene;
  readonly history: Y.UndoManager;
  private readonly objects: Y.Map<unknown>;

  constructor(
    readonly doc: Y.Doc,
    private readonly origin: object,
    readonly measure?: Measure,
  ) {
    this.objects = doc.getMap('objects');
    this.scene = new Scene(doc, measure);
    this.history = new Y.UndoManager([this.objects, doc.getMap('pages')], {
      trackedOrigins: new Set([origin]),
      // A step ends where it is said to, not after a time.
      captureTimeout: Number.MAX_SAFE_INTEGER,
    });
  }

  close(): void {
    this.history.destroy();
    this.scene.close();
  }

  undo(): boolean {
    return this.history.undo() !== null;
  }

  redo(): boolean {
    return this.history.redo() !== null;
  }

  /** Puts a new object on top of a page, in a step of its own. */
  add(page: string, draft: Draft, id = newId()): string {
    this.step(() => this.put(page, draft, this.scene.page(page).at(-1)?.order ?? null, null, id));
    return id;
  }

  /** Puts copies on top of a page, in their order; their groups become groups of their own. */
  addAll(page: string, drafts: readonly Draft[], by: Change = NO_CHANGE): string[] {
    const orders = ordersBetween(this.scene.page(page).at(-1)?.order ?? null, null, drafts.length);
    const groups = new Map<string, string>();
    const ids = drafts.map(() => newId());
    this.step(() => {
      drafts.forEach((draft, index) => {
        const { group = null } = draft;
        if (group !== null && !groups.has(group)) groups.set(group, newId());
        const copy = {
          ...draft,
          page,
          order: orders[index] ?? 'V',
          t: changed(draft.t, by),
          locked: false,
          group: group === null ? null : (groups.get(group) ?? null),
        };
        this.objects.set(ids[index] ?? newId(), objectOf(copy));
      });
    });
    return ids;
  }

  duplicate(ids: Iterable<string>, by: Change = { ...NO_CHANGE, dx: 20, dy: 20 }): string[] {
    const shapes = this.sorted(ids);
    return shapes.length === 0 ? [] : this.addAll(shapes[0]?.page ?? '', shapes, by);
  }

  /** Moves, scales, turns. What is locked stays. */
  change(ids: Iterable<string>, by: Change): void {
    this.step(() => {
      for (const { id, t } of this.free(ids)) this.set(id, 't', [...changed(t, by)]);
    });
  }

  /** Gives objects other transforms. */
  place(transforms: ReadonlyMap<string, Transform>): void {
    this.step(() => {
      for (const { id } of this.free(transforms.keys())) this.set(id, 't', [...(transforms.get(id) ?? [])]);
    });
  }

  /** The points of a line or arrow, whose ends are dragged one by one. */
  reshape(id: string, draft: Pick<Draft, 't' | 'points'>): void {
    if (this.free([id]).length === 0) return;
    this.step(() => {
      this.set(id, 't', [...draft.t]);
      this.set(id, 'points', encodePoints(draft.points ?? []));
    });
  }

  style(ids: Iterable<string>, style: Style): void {
    this.step(() => {
      for (const shape of this.free(ids)) {
        for (const [key, value] of Object.entries(style)) {
          if (shape[key as keyof Style] !== value) this.set(shape.id, key, value ?? undefined);
        }
      }
    });
  }

  remove(ids: Iterable<string>): void {
    this.step(() => {
      for (const { id } of this.free(ids)) this.objects.delete(id);
    });
  }

  /** Takes everything from a page but what is locked. */
  clear(page: string): void {
    this.remove(this.scene.page(page).map(({ id }) => id));
  }

  lock(ids: Iterable<string>, locked: boolean): void {
    this.step(() => {
      for (const { id } of this.sorted(ids)) this.set(id, 'locked', locked ? true : undefined);
    });
  }

  group(ids: Iterable<string>): void {
    const shapes = this.free(ids);
    if (shapes.length < 2) return;
    const group = newId();
    this.step(() => {
      for (const { id } of shapes) this.set(id, 'group', group);
    });
  }

  ungroup(ids: Iterable<string>): void {
    this.step(() => {
      for (const { id, group } of this.free(ids)) if (group !== null) this.set(id, 'group', undefined);
    });
  }

  /** Lays objects higher or lower, keeping their own order. A step goes past the next object that they overlap. */
  reorder(ids: Iterable<string>, step: Step): void {
    const moved = this.free(ids);
    const page = this.scene.page(moved[0]?.page ?? '');
    const chosen = new Set(moved.map(({ id }) => id));
    const others = page.filter(({ id }) => !chosen.has(id));
    if (moved.length === 0 || others.length === 0) return;
    const at = this.placeAfter(step, page, others, chosen);
    const orders = ordersBetween(others[at - 1]?.order ?? null, others[at]?.order ?? null, moved.length);
    this.step(() => moved.forEach(({ id }, index) => this.set(id, 'order', orders[index])));
  }

  private placeAfter(
    step: Step,
    page: readonly Shape[],
    others: readonly Shape[],
    chosen: ReadonlySet<string>,
  ): number {
    if (step === 'front') return others.length;
    if (step === 'back') return 0;
    const indices = page.flatMap(({ id }, index) => (chosen.has(id) ? [index] : []));
    const end = (step === 'forward' ? indices.at(-1) : indices[0]) ?? 0;
    const next = step === 'forward' ? end + 1 : end - 1;
    const neighbour = page[next];
    if (neighbour === undefined) return step === 'forward' ? others.length : 0;
    const place = others.indexOf(neighbour);
    return step === 'forward' ? place + 1 : place;
  }

  /** Lines up the edges or middles of objects; those of one group move together. */
  align(ids: Iterable<string>, side: Side): void {
    const units = this.units(ids);
    const all = units.map(({ box }) => box).reduce(union, NOWHERE);
    if (units.length < 2) return;
    this.shift(units, (box) => {
      const [x, y] = middleOf(box);
      const [allX, allY] = middleOf(all);
      if (side === 'left') return [all.left - box.left, 0];
      if (side === 'right') return [all.right - box.right, 0];
      if (side === 'center') return [allX - x, 0];
      if (side === 'top') return [0, all.top - box.top];
      if (side === 'bottom') return [0, all.bottom - box.bottom];
      return [0, allY - y];
    });
  }

  /** Puts the same space between objects, from the first to the last. */
  distribute(ids: Iterable<string>, along: 'x' | 'y'): void {
    const units = this.units(ids);
    if (units.length < 3) return;
    const start = (box: Box): number => (along === 'x' ? box.left : box.top);
    const end = (box: Box): number => (along === 'x' ? box.right : box.bottom);
    units.sort((one, other) => start(one.box) - start(other.box));
    const all = units.map(({ box }) => box).reduce(union, NOWHERE);
    const filled = units.reduce((sum, { box }) => sum + end(box) - start(box), 0);
    const space = (end(all) - start(all) - filled) / (units.length - 1);
    let at = start(all);
    this.shift(units, (box) => {
      const by = at - start(box);
      at += end(box) - start(box) + space;
      return along === 'x' ? [by, 0] : [0, by];
    });
  }

  /** What is left of strokes where a rubber went over them. A piece looks as its stroke did. */
  split(pieces: ReadonlyMap<string, readonly Piece[]>): void {
    this.step(() => {
      for (const shape of this.free(pieces.keys())) {
        const above = this.next(shape);
        let below = shape.order;
        this.objects.delete(shape.id);
        for (const piece of pieces.get(shape.id) ?? []) {
          this.put(shape.page, draftOf(shape, piece), below, above, newId());
          below = orderBetween(below, above);
        }
      }
    });
  }

  /** Writes a text, changing as little as possible: others may be writing in it. Joins the step before if `joins`. */
  write(id: string, text: string, joins: boolean): void {
    const object = this.objects.get(id);
    const shared = object instanceof Y.Map ? (object as Y.Map<unknown>).get('text') : undefined;
    if (!(shared instanceof Y.Text) || this.scene.get(id)?.locked !== false) return;
    const { at, removed, inserted } = difference(shared.toJSON(), text.slice(0, MAX_TEXT));
    if (removed === 0 && inserted === '') return;
    const change = (): void => {
      if (removed > 0) shared.delete(at, removed);
      if (inserted !== '') shared.insert(at, inserted);
    };
    if (joins) this.doc.transact(change, this.origin);
    else this.step(change);
  }

  addPage(after: string): string | null {
    let id: string | null = null;
    this.step(() => (id = addPage(this.scene, after)));
    return id;
  }

  renamePage(id: string, name: string): void {
    this.step(() => renamePage(this.scene, id, name));
  }

  /** Takes a page away with all that is on it. The last one stays. */
  removePage(id: string): void {
    if (pagesOf(this.scene).length < 2) return;
    this.step(() => {
      for (const shape of [...this.scene.page(id)]) this.objects.delete(shape.id);
      removePage(this.scene, id);
    });
  }

  /** What objects take up together. */
  boundsOf(ids: Iterable<string>): Box {
    const { measure } = this.scene;
    return this.sorted(ids)
      .map((shape) => around(cornersOf(shape, measure)))
      .reduce(union, NOWHERE);
  }

  /** The objects that are there, from the lowest to the topmost. */
  sorted(ids: Iterable<string>): Shape[] {
    const shapes = [...new Set(ids)].flatMap((id) => this.scene.get(id) ?? []);
    return shapes.sort((one, other) => (this.isBelow(one, other) ? -1 : 1));
  }

  private isBelow(one: Shape, other: Shape): boolean {
    return one.order === other.order ? one.id < other.id : one.order < other.order;
  }

  /** Those of them that are not locked. */
  private free(ids: Iterable<string>): Shape[] {
    return this.sorted(ids).filter(({ locked }) => !locked);
  }

  private step(change: () => void): void {
    this.history.stopCapturing();
    this.doc.transact(change, this.origin);
  }

  private put(page: string, draft: Draft, below: string | null, above: string | null, id: string): void {
    this.objects.set(id, objectOf({ ...draft, page, order: orderBetween(below, above) }));
  }

  private next({ page, id }: Shape): string | null {
    const list = this.scene.page(page);
    return list[list.findIndex((shape) => shape.id === id) + 1]?.order ?? null;
  }

  /** Nothing is said that does not change anything: it would only make the document longer. */
  private set(id: string, key: string, value: unknown): void {
    const object = this.objects.get(id);
    if (!(object instanceof Y.Map)) return;
    if (value === undefined) object.delete(key);
    else object.set(key, value);
  }

  /** Groups and single objects, with what they take up. */
  private units(ids: Iterable<string>): { shapes: Shape[]; box: Box }[] {
    const units = new Map<string, { shapes: Shape[]; box: Box }>();
    for (const shape of this.free(ids)) {
      const unit = units.get(shape.group ?? shape.id) ?? { shapes: [], box: NOWHERE };
      unit.shapes.push(shape);
      unit.box = union(unit.box, around(cornersOf(shape, this.scene.measure)));
      units.set(shape.group ?? shape.id, unit);
    }
    return [...units.values()].filter(({ box }) => !isEmpty(box));
  }

  private shift(units: readonly { shapes: Shape[]; box: Box }[], by: (box: Box) => Point): void {
    this.step(() => {
      for (const { shapes, box } of units) {
        const [dx, dy] = by(box);
        if (dx === 0 && dy === 0) continue;
        for (const { id, t } of shapes) this.set(id, 't', [...changed(t, { ...NO_CHANGE, dx, dy })]);
      }
    });
  }
}

/** A piece of a stroke as an object of its own. */
export function draftOf(shape: Shape, { points, at }: Piece): Draft {
  const [first] = points;
  const [x, y] = first ?? [0, 0];
  const [, , scaleX, scaleY] = shape.t;
  const scale = Math.sqrt(scaleX * scaleY);
  const { pressure } = shape;
  return {
    ...shape,
    t: [x, y, scale, scale, 0],
    points: Float32Array.from(points.flatMap((point) => [(point[0] - x) / scale, (point[1] - y) / scale])),
    pressure: pressure === null ? null : Uint8Array.from(at, (place) => pressure[Math.round(place)] ?? 128),
  };
}
