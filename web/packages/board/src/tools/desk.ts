import { type Store, Value } from '@madang/sdk';
import { Editor, type Style } from '../model/editor.js';
import { type Box, boundsOf, isEmpty, isHit } from '../model/geometry.js';
import { FIRST_PAGE, type Page, pagesOf } from '../model/pages.js';
import type { Changed } from '../model/scene.js';
import type { Shape } from '../model/shape.js';
import type { Measure } from '../model/text.js';
import type { LiveMove, LiveStroke, Point } from '../types.js';

import { type Camera, fitted, onPage, type Size, within } from './camera.js';

export type Tool =
  | 'select'
  | 'hand'
  | 'pen'
  | 'marker'
  | 'line'
  | 'arrow'
  | 'rectangle'
  | 'ellipse'
  | 'text'
  | 'note'
  | 'eraser'
  | 'laser';

/** What new objects look like, and how the rubber rubs. */
export interface Choice {
  color: string;
  fill: string | null;
  width: number;
  markerWidth: number;
  dashed: boolean;
  fontSize: number;
  noteColor: string;
  eraser: 'object' | 'partial';
}

export const FIRST_CHOICE: Choice = {
  color: 'ink',
  fill: null,
  width: 4,
  markerWidth: 16,
  dashed: false,
  fontSize: 24,
  noteColor: 'yellow',
  eraser: 'object',
};

/** What is shown of what one is doing and has not written yet. */
export interface Doing {
  stroke: LiveStroke | null;
  /** The object that is being drawn. */
  draft: Shape | null;
  moving: LiveMove | null;
  marquee: Box | null;
  laser: Point | null;
  rubber: { at: Point; radius: number } | null;
}

export const NOTHING_DONE: Doing = {
  stroke: null,
  draft: null,
  moving: null,
  marquee: null,
  laser: null,
  rubber: null,
};

/** What one person has in front of them: a page, a part of it, a tool, what is selected. Knows no DOM. */
export class Desk {
  readonly page = new Value<string>(FIRST_PAGE);
  readonly pages: Value<readonly Page[]>;
  readonly camera = new Value<Camera>({ x: 0, y: 0, zoom: 1 });
  readonly tool = new Value<Tool>('pen');
  readonly choice = new Value<Choice>(FIRST_CHOICE);
  readonly selection = new Value<ReadonlySet<string>>(new Set());
  readonly doing = new Value<Doing>(NOTHING_DONE);
  /** The text that is being written, by its object. */
  readonly writing = new Value<string | null>(null);
  readonly grid = new Value(true);
  /** What can be undone and redone. */
  readonly history = new Value({ undo: false, redo: false });
  /** Changes with each change of an object: for who shows what is selected. */
  readonly version = new Value(0);
  /** Objects that are shown otherwise than they are written, while they are moved or rubbed out. */
  overrides: ReadonlyMap<string, readonly Shape[]> = new Map();
  /** Nothing before it is known. */
  size: Size = { width: 0, height: 0 };
  private readonly listeners = new Set<(changes: readonly Changed[]) => void>();
  private readonly ends: (() => void)[] = [];

  constructor(
    readonly editor: Editor,
    /** Whether this person may change anything now. */
    readonly may: Store<boolean>,
    /** And put something new on the board: a full one takes only deletions. */
    readonly mayAdd: Store<boolean> = may,
  ) {
    this.pages = new Value<readonly Page[]>(pagesOf(editor.scene));
    this.ends.push(editor.scene.subscribe((changes) => this.changed(changes)));
    const pages = editor.doc.getMap('pages');
    const list = (): void => this.listPages();
    pages.observeDeep(list);
    this.ends.push(() => pages.unobserveDeep(list));
    const tell = (): void =>
      this.history.set({ undo: editor.history.canUndo(), redo: editor.history.canRedo() });
    for (const name of ['stack-item-added', 'stack-item-popped', 'stack-cleared'] as const) {
      editor.history.on(name, tell);
    }
    this.ends.push(
      may.subscribe(() => {
        if (!may.get()) this.letGo();
      }),
    );
  }

  close(): void {
    for (const end of this.ends) end();
    this.listeners.clear();
    this.editor.close();
  }

  get measure(): Measure {
    return this.editor.scene.measure;
  }

  /** The objects of the page as they are to be shown, from the lowest to the topmost. */
  shown(): readonly Shape[] {
    const shapes = this.editor.scene.page(this.page.get());
    if (this.overrides.size === 0) return shapes;
    return shapes.flatMap((shape) => this.overrides.get(shape.id) ?? [shape]);
  }

  /** Is told what is to be shown otherwise. */
  subscribe(listener: (changes: readonly Changed[]) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Shows objects otherwise than they are written; an empty list hides one. */
  override(overrides: ReadonlyMap<string, readonly Shape[]>): void {
    const before = this.overrides;
    this.overrides = overrides;
    const changes: Changed[] = [];
    for (const id of new Set([...before.keys(), ...overrides.keys()])) {
      const written = this.editor.scene.get(id);
      const old = before.get(id) ?? (written === undefined ? [] : [written]);
      const now = overrides.get(id) ?? (written === undefined ? [] : [written]);
      if (old === now) continue;
      for (const shape of old) changes.push({ before: shape, after: null });
      // Never as something new on top: it stays where it is in the order.
      for (const shape of now) changes.push({ before: shape, after: shape });
    }
    if (changes.length > 0) for (const listener of [...this.listeners]) listener(changes);
  }

  do(doing: Partial<Doing>): void {
    this.doing.set({ ...this.doing.get(), ...doing });
  }

  /** Ends what is half done, and writes nothing of it. */
  letGo(): void {
    this.doing.set(NOTHING_DONE);
    this.override(new Map());
    this.writing.set(null);
  }

  choose(choice: Partial<Choice>): void {
    this.choice.set({ ...this.choice.get(), ...choice });
  }

  /** Gives what is selected another look, and what comes next as well. */
  style(style: Style): void {
    const { color, fill, width, dashed, fontSize } = style;
    const selected = this.selected();
    const notes = selected.filter(({ type }) => type === 'note').map(({ id }) => id);
    const others = selected.filter(({ type }) => type !== 'note').map(({ id }) => id);
    if (this.may.get() && selected.length > 0) {
      this.editor.style(others, style);
      // What colours a note is its area.
      if (color !== undefined) this.editor.style(notes, { fill: color });
      if (fontSize !== undefined) this.editor.style(notes, { fontSize });
    }
    const isNote = this.tool.get() === 'note' || (selected.length > 0 && others.length === 0);
    this.choose({
      ...(color === undefined ? {} : isNote ? { noteColor: color } : { color }),
      ...(fill === undefined ? {} : { fill }),
      ...(width === undefined ? {} : this.tool.get() === 'marker' ? { markerWidth: width } : { width }),
      ...(dashed === undefined ? {} : { dashed }),
      ...(fontSize === undefined ? {} : { fontSize }),
    });
  }

  select(ids: Iterable<string>): void {
    const next = this.editor.scene.withGroups(ids);
    const before = this.selection.get();
    if (next.size === before.size && [...next].every((id) => before.has(id))) return;
    this.selection.set(next);
  }

  selectAll(): void {
    this.tool.set('select');
    this.select(this.editor.scene.page(this.page.get()).map(({ id }) => id));
  }

  /** The next object in the order, for who has no pointer. */
  selectNext(by: 1 | -1): void {
    const shapes = this.editor.scene.page(this.page.get());
    const at = shapes.findIndex(({ id }) => this.selection.get().has(id));
    const next =
      shapes[at < 0 ? (by > 0 ? 0 : shapes.length - 1) : (at + by + shapes.length) % shapes.length];
    if (next === undefined) return;
    this.tool.set('select');
    this.select([next.id]);
  }

  selected(): Shape[] {
    return this.editor.sorted(this.selection.get());
  }

  /** The topmost object under a point. */
  at(point: Point, reach: number): Shape | null {
    const shapes = this.editor.scene.page(this.page.get());
    for (let index = shapes.length - 1; index >= 0; index--) {
      const shape = shapes[index];
      if (shape !== undefined && isHit(shape, point, reach, this.measure)) return shape;
    }
    return null;
  }

  go(page: string): void {
    if (this.page.get() === page) return;
    this.letGo();
    this.select([]);
    this.page.set(page);
  }

  /** The next or previous page. */
  turn(by: 1 | -1): void {
    const pages = this.pages.get();
    const next = pages[pages.findIndex(({ id }) => id === this.page.get()) + by];
    if (next !== undefined) this.go(next.id);
  }

  look(camera: Camera): void {
    this.camera.set(within(camera));
  }

  /** Shows all that is on the page. */
  fit(): void {
    const box = this.extent();
    const { width, height } = this.size;
    if (isEmpty(box)) {
      this.look({ x: -width / 2, y: -height / 2, zoom: 1 });
      return;
    }
    // Room for the bars that lie over the edges, where there is any.
    const [above, below, beside] = height > 480 ? [64, 120, 24] : [8, 8, 8];
    const free = { width: width - 2 * beside, height: height - above - below };
    const { x, y, zoom } = fitted(box, free);
    this.look({ x: x - beside / zoom, y: y - above / zoom, zoom });
  }

  extent(): Box {
    let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
    for (const shape of this.editor.scene.page(this.page.get())) {
      const box = boundsOf(shape, this.measure);
      left = Math.min(left, box.left);
      top = Math.min(top, box.top);
      right = Math.max(right, box.right);
      bottom = Math.max(bottom, box.bottom);
    }
    return { left, top, right, bottom };
  }

  middle(): Point {
    return onPage(this.camera.get(), [this.size.width / 2, this.size.height / 2]);
  }

  private changed(changes: readonly Changed[]): void {
    const here = changes.filter(
      ({ before, after }) => before?.page === this.page.get() || after?.page === this.page.get(),
    );
    const gone = changes.filter(({ before, after }) => after?.page !== before?.page || after === null);
    if (gone.some(({ before }) => before !== null && this.selection.get().has(before.id))) {
      const { scene } = this.editor;
      this.selection.set(
        new Set([...this.selection.get()].filter((id) => scene.get(id)?.page === this.page.get())),
      );
    }
    const written = this.writing.get();
    if (written !== null && this.editor.scene.get(written) === undefined) this.writing.set(null);
    if (changes.some(({ before, after }) => before?.page !== after?.page)) this.listPages();
    if (here.length > 0) {
      for (const listener of [...this.listeners]) listener(here.map((change) => this.asShown(change)));
    }
    this.version.set(this.version.get() + 1);
  }

  /** An object of another page is none of this one; one that is shown otherwise is drawn there as well. */
  private asShown({ before, after }: Changed): Changed {
    const here = this.page.get();
    const [from, to] = [before?.page === here ? before : null, after?.page === here ? after : null];
    const overridden = this.overrides.get(from?.id ?? to?.id ?? '');
    if (overridden === undefined) return { before: from, after: to };
    return { before: from ?? to, after: to ?? from };
  }

  private listPages(): void {
    const pages = pagesOf(this.editor.scene);
    const before = this.pages.get();
    const isSame =
      pages.length === before.length &&
      pages.every(({ id, name }, index) => before[index]?.id === id && before[index].name === name);
    if (!isSame) this.pages.set(pages);
    // Somebody took away the page that is looked at.
    if (!pages.some(({ id }) => id === this.page.get())) this.go(pages[0]?.id ?? FIRST_PAGE);
  }
}
