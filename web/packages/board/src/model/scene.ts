import * as Y from 'yjs';
import { byOrder } from './order.js';
import { hasText, readShape, type Shape } from './shape.js';
import { roughly, type Measure } from './text.js';

/** What became of one object: null is that it was or is not there. */
export interface Changed {
  before: Shape | null;
  after: Shape | null;
}

/** The objects of a document, read once and kept up to date, in their order. */
export class Scene {
  private readonly shapes = new Map<string, Shape>();
  /** By page, from the lowest to the topmost. */
  private readonly pages = new Map<string, Shape[]>();
  private readonly members = new Map<string, Set<string>>();
  private readonly listeners = new Set<(changes: readonly Changed[]) => void>();
  private readonly objects: Y.Map<unknown>;

  constructor(
    readonly doc: Y.Doc,
    readonly measure: Measure = roughly,
  ) {
    this.objects = doc.getMap('objects');
    for (const [id, object] of this.objects) {
      const shape = readShape(id, object);
      if (shape !== null) this.put(shape, false);
    }
    for (const list of this.pages.values()) list.sort(byOrder);
    this.objects.observeDeep(this.observe);
  }

  get(id: string): Shape | undefined {
    return this.shapes.get(id);
  }

  get size(): number {
    return this.shapes.size;
  }

  /** The objects of a page, from the lowest to the topmost. Not to be kept: it changes. */
  page(page: string): readonly Shape[] {
    return this.pages.get(page) ?? [];
  }

  /** Pages that have objects. */
  inhabited(): string[] {
    return [...this.pages].flatMap(([page, shapes]) => (shapes.length > 0 ? [page] : []));
  }

  /** The ids with everything that is in a group with one of them. */
  withGroups(ids: Iterable<string>): Set<string> {
    const all = new Set<string>();
    for (const id of ids) {
      const shape = this.shapes.get(id);
      if (shape === undefined) continue;
      all.add(id);
      if (shape.group === null) continue;
      for (const member of this.members.get(shape.group) ?? []) {
        // A page's group ends with the page.
        if (this.shapes.get(member)?.page === shape.page) all.add(member);
      }
    }
    return all;
  }

  /** Is told what each transaction changed, until the returned function is called. */
  subscribe(listener: (changes: readonly Changed[]) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Reads all that has letters again: another font measures otherwise. */
  remeasure(): void {
    const changes: Changed[] = [];
    for (const before of [...this.shapes.values()]) {
      const after = hasText(before) ? readShape(before.id, this.objects.get(before.id)) : null;
      if (after === null) continue;
      this.take(before);
      this.put(after, true);
      changes.push({ before, after });
    }
    if (changes.length > 0) for (const listener of [...this.listeners]) listener(changes);
  }

  close(): void {
    this.objects.unobserveDeep(this.observe);
    this.listeners.clear();
  }

  private readonly observe = (events: Y.YEvent<Y.AbstractType<unknown>>[]): void => {
    const ids = new Set<string>();
    for (const event of events) {
      const [id] = event.path;
      if (typeof id === 'string') ids.add(id);
      else for (const key of event.changes.keys.keys()) ids.add(key);
    }
    const changes: Changed[] = [];
    for (const id of ids) {
      const before = this.shapes.get(id) ?? null;
      const after = this.objects.has(id) ? readShape(id, this.objects.get(id)) : null;
      if (before === null && after === null) continue;
      if (before !== null) this.take(before);
      if (after !== null) this.put(after, true);
      changes.push({ before, after });
    }
    if (changes.length > 0) for (const listener of [...this.listeners]) listener(changes);
  };

  private put(shape: Shape, sorted: boolean): void {
    this.shapes.set(shape.id, shape);
    if (shape.group !== null) {
      const members = this.members.get(shape.group) ?? new Set();
      this.members.set(shape.group, members.add(shape.id));
    }
    const list = this.pages.get(shape.page) ?? [];
    this.pages.set(shape.page, list);
    if (sorted) list.splice(placeOf(list, shape), 0, shape);
    else list.push(shape);
  }

  private take(shape: Shape): void {
    this.shapes.delete(shape.id);
    if (shape.group !== null) {
      const members = this.members.get(shape.group);
      members?.delete(shape.id);
      if (members?.size === 0) this.members.delete(shape.group);
    }
    const list = this.pages.get(shape.page) ?? [];
    list.splice(placeOf(list, shape), 1);
    if (list.length === 0) this.pages.delete(shape.page);
  }
}

/** Where a shape is in a sorted list, or belongs. */
function placeOf(list: readonly Shape[], shape: Shape): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = list[middle];
    if (other !== undefined && byOrder(other, shape) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
