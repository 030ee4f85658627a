import { Value } from '@madang/sdk';
import { Editor } from '../model/editor.js';
import { grown, NO_CHANGE } from '../model/geometry.js';
import { boardSheet } from '../model/json.js';
import { hasText, type Shape } from '../model/shape.js';
import { type Context, type Env, measureWith, type View } from '../render/draw.js';
import { drawPicture, toSvg } from '../render/export.js';
import { Painter, type Surface as Canvas } from '../render/painter.js';
import { PALETTE, type Theme } from '../render/palette.js';
import { NOTE_SIZE, place } from '../tools/begin.js';
import { fitted, onPage, type Size, zoomed } from '../tools/camera.js';
import { Desk, type Tool } from '../tools/desk.js';
import { figure } from '../tools/draw.js';
import type { Board, Point } from '../types.js';

import { broughtBy, copied, put, putImages, putShapes } from './clipboard.js';
import { Handles, type HandleWords } from './handles.js';
import { type Action, actionOf } from './keys.js';
import { Overlay } from './overlay.js';
import { blobOf, Pictures } from './pictures.js';
import { Pointers } from './pointers.js';
import { Crowd, LiveMoves, LiveStrokes, type Seen } from './presence.js';
import { Teller } from './teller.js';
import { Writer } from './writer.js';

/** Milliseconds of a frame in which the page is drawn; the rest is the browser's and the call's. */
const BUDGET_MS = 2.5;
/** Before the first whole picture, which somebody waits for. */
const OPENING_BUDGET_MS = 14;
/** More pixels for a CSS pixel cost more than anybody sees. */
const MOST_RATIO = 2;
const GRID = 24;

export interface SurfaceWords extends HandleWords {
  board: string;
  field: string;
}

/** What the person is told. */
export type Notice =
  { kind: 'may-not' } | { kind: 'full' } | { kind: 'no-paste' } | { kind: 'image'; words: string };

export interface SurfaceOptions {
  theme: Theme;
  words: SurfaceWords;
  notice: (notice: Notice) => void;
  /** What a key asks for that is the page's: the list of keys. */
  help: () => void;
}

/** A whiteboard on a page: fills its element with the drawing, what is over it, and what keys and pointers do. */
export class Surface {
  readonly root = document.createElement('div');
  /** Another one after a new epoch. */
  readonly desk: Value<Desk>;
  readonly others = new Value<ReadonlyMap<number, Seen>>(new Map());
  /** The client that is followed. */
  readonly following = new Value<number | null>(null);
  readonly presenting = new Value(false);
  /** Images that are on their way to the server. */
  readonly uploading = new Value(0);
  private readonly base: Canvas;
  private readonly over: Canvas;
  private readonly pictures: Pictures;
  private readonly measure = measureWith(canvas(1, 1).context);
  private readonly crowd = new Crowd();
  private readonly strokes = new LiveStrokes();
  private readonly moves = new LiveMoves();
  private readonly may: Value<boolean>;
  private readonly mayAdd: Value<boolean>;
  private readonly pointers: Pointers;
  private readonly teller: Teller;
  private readonly ends: (() => void)[] = [];
  private parts: {
    handles: Handles;
    writer: Writer;
    overlay: Overlay;
    painter: Painter;
    ends: (() => void)[];
  };
  private env: Env;
  private view: View = { left: 0, top: 0, scale: 1 };
  private ratio = 1;
  private frame = 0;
  private isOverDirty = true;
  private isSpaceHeld = false;
  private isOpening = true;
  private hover: Point | null = null;

  constructor(
    private readonly host: HTMLElement,
    readonly board: Board,
    private readonly options: SurfaceOptions,
  ) {
    const { root } = this;
    root.className = 'board-surface';
    root.tabIndex = 0;
    root.setAttribute('role', 'application');
    root.setAttribute('aria-label', options.words.board);
    this.base = canvas(1, 1);
    this.over = canvas(1, 1);
    for (const { canvas: element } of [this.base, this.over]) {
      (element as HTMLCanvasElement).className = 'board-canvas';
      (element as HTMLCanvasElement).setAttribute('aria-hidden', 'true');
      root.append(element as HTMLCanvasElement);
    }
    this.pictures = new Pictures(
      (id) => board.images.url(id),
      () => this.repaint(),
    );
    this.env = { theme: options.theme, measure: this.measure, image: this.pictures.get };
    const state = board.state.get();
    this.may = new Value(state.mayDraw);
    this.mayAdd = new Value(state.mayDraw && !state.full);
    this.desk = new Value(this.openDesk());
    this.teller = new Teller(board.presence, () => this.desk.get());
    this.parts = this.open();
    this.pointers = new Pointers(root, {
      desk: () => this.desk.get(),
      gripOf: (target) => this.parts.handles.gripOf(target),
      moved: () => this.following.set(null),
      hovers: (at) => {
        this.hover = at;
        this.teller.cursor = at;
        this.teller.touch();
      },
      refused: () => options.notice({ kind: this.may.get() ? 'full' : 'may-not' }),
      isSpaceHeld: () => this.isSpaceHeld,
    });
    this.listen();
    host.append(root);
    this.resize();
    this.hear();
  }

  close(): void {
    cancelAnimationFrame(this.frame);
    for (const end of this.ends) end();
    this.closeParts();
    this.teller.close();
    this.desk.get().close();
    this.root.remove();
  }

  setTheme(theme: Theme): void {
    if (theme === this.env.theme) return;
    this.env = { ...this.env, theme };
    this.repaint();
  }

  present(on: boolean): void {
    this.presenting.set(on);
    this.teller.presenting = on;
    this.teller.touch();
  }

  follow(client: number | null): void {
    this.following.set(client);
    this.goAlong();
  }

  async addImages(files: readonly Blob[], at: Point = this.hover ?? this.desk.get().middle()): Promise<void> {
    if (!this.allowed()) return;
    this.uploading.set(this.uploading.get() + 1);
    const failed = (words: string): void => this.options.notice({ kind: 'image', words });
    try {
      await putImages(this.desk.get(), this.board.images, files, at, failed);
    } finally {
      this.uploading.set(this.uploading.get() - 1);
    }
  }

  /** Puts objects of a file on the page, in the middle of what is seen, and shows them. */
  insert(shapes: readonly Shape[]): void {
    if (!this.allowed()) return;
    const desk = this.desk.get();
    putShapes(desk, shapes, desk.middle());
    desk.fit();
  }

  /** The page that is shown as a file; JSON is of the whole board. */
  async exported(kind: 'png' | 'svg' | 'json'): Promise<Blob> {
    const desk = this.desk.get();
    if (kind === 'json') {
      return new Blob([JSON.stringify(boardSheet(desk.editor.scene))], { type: 'application/json' });
    }
    const shapes = [...desk.editor.scene.page(desk.page.get())];
    const images = await this.pictures.all(shapes.flatMap(({ image }) => (image === '' ? [] : [image])));
    if (kind === 'svg') {
      const hrefs = new Map([...images].map(([id, image]) => [id, dataUrl(image)]));
      const svg = toSvg(shapes, 'light', this.env.measure, (id) => hrefs.get(id) ?? null);
      return new Blob([svg], { type: 'image/svg+xml' });
    }
    const env: Env = { ...this.env, theme: 'light', image: (id) => images.get(id) ?? null };
    return blobOf(drawPicture(shapes, env, canvas).canvas as HTMLCanvasElement, 'image/png');
  }

  /** Does what a key or a button says. True if there was anything to do. */
  act(action: Action): boolean {
    const desk = this.desk.get();
    const { editor } = desk;
    const selection = desk.selection.get();
    const page = desk.page.get();
    if (action.startsWith('tool ')) {
      this.take(action.slice(5) as Tool);
      return true;
    }
    switch (action) {
      case 'select all':
        desk.selectAll();
        return true;
      case 'select next':
        desk.selectNext(1);
        return true;
      case 'select previous':
        desk.selectNext(-1);
        return true;
      case 'deselect':
        return this.stop();
      case 'zoom in':
      case 'zoom out':
        return this.zoom(desk.camera.get().zoom * (action === 'zoom in' ? 1.25 : 0.8));
      case 'zoom 100':
        return this.zoom(1);
      case 'fit':
        desk.fit();
        this.following.set(null);
        return true;
      case 'grid':
        desk.grid.set(!desk.grid.get());
        return true;
      case 'next page':
      case 'previous page':
        desk.turn(action === 'next page' ? 1 : -1);
        this.following.set(null);
        return true;
      case 'help':
        this.options.help();
        return true;
      case 'left':
        return this.nudge(-1, 0);
      case 'right':
        return this.nudge(1, 0);
      case 'up':
        return this.nudge(0, -1);
      case 'down':
        return this.nudge(0, 1);
      case 'copy':
      case 'cut':
      case 'paste':
        return false;
      default:
    }
    if (!this.may.get()) {
      this.options.notice({ kind: 'may-not' });
      return true;
    }
    switch (action) {
      case 'undo':
        return editor.undo();
      case 'redo':
        return editor.redo();
      case 'delete':
        editor.remove(selection);
        return selection.size > 0;
      case 'duplicate':
        if (this.allowed()) desk.select(editor.duplicate(selection));
        return true;
      case 'group':
        editor.group(selection);
        desk.select(selection);
        return true;
      case 'ungroup':
        editor.ungroup(selection);
        return true;
      case 'lock':
        editor.lock(selection, !desk.selected().every(({ locked }) => locked));
        return true;
      case 'front':
      case 'forward':
      case 'backward':
      case 'back':
        editor.reorder(selection, action);
        return true;
      case 'edit':
        return this.edit(page);
      default:
        return false;
    }
  }

  focus(): void {
    this.root.focus({ preventScroll: true });
  }

  /** Whether anything new may be put on the board; says why not. */
  private allowed(): boolean {
    if (this.mayAdd.get()) return true;
    this.options.notice({ kind: this.may.get() ? 'full' : 'may-not' });
    return false;
  }

  private take(tool: Tool): void {
    const desk = this.desk.get();
    this.pointers.cancel();
    desk.tool.set(tool);
    if (tool !== 'select') desk.select([]);
  }

  /** Escape, step by step: what goes on, what is selected, the tool. False when there is nothing left to end. */
  private stop(): boolean {
    const desk = this.desk.get();
    if (this.pointers.isBusy) this.pointers.cancel();
    else if (desk.selection.get().size > 0) desk.select([]);
    else if (this.following.get() !== null) this.following.set(null);
    else if (desk.tool.get() !== 'select') desk.tool.set('select');
    else return false;
    return true;
  }

  private zoom(zoom: number): boolean {
    const desk = this.desk.get();
    desk.look(zoomed(desk.camera.get(), zoom, [desk.size.width / 2, desk.size.height / 2]));
    this.following.set(null);
    return true;
  }

  /** Arrows move what is selected, or else the page. */
  private nudge(x: number, y: number, fine = this.isFine): boolean {
    const desk = this.desk.get();
    const { zoom } = desk.camera.get();
    if (desk.selection.get().size === 0 || !this.may.get()) {
      const camera = desk.camera.get();
      desk.look({ ...camera, x: camera.x + (x * 60) / zoom, y: camera.y + (y * 60) / zoom });
      this.following.set(null);
      return true;
    }
    const by = fine ? 1 / zoom : 10;
    desk.editor.change(desk.selection.get(), { ...NO_CHANGE, dx: x * by, dy: y * by });
    return true;
  }

  private isFine = false;

  /** Enter: writes in what is selected, or puts what the tool makes in the middle. */
  private edit(page: string): boolean {
    const desk = this.desk.get();
    const [only, ...more] = desk.selected();
    if (only !== undefined && more.length === 0 && hasText(only) && !only.locked) {
      desk.writing.set(only.id);
      return true;
    }
    const tool = desk.tool.get();
    const [x, y] = desk.middle();
    const half = NOTE_SIZE / 2 / desk.camera.get().zoom;
    switch (tool) {
      case 'text':
      case 'note':
        if (this.allowed()) place(desk, tool, [x, y]);
        return true;
      case 'line':
      case 'arrow':
      case 'rectangle':
      case 'ellipse':
        if (this.allowed()) {
          const draft = figure(desk, tool, [x - half, y - half / 2], [x + half, y + half / 2]);
          const id = desk.editor.add(page, draft);
          desk.tool.set('select');
          desk.select([id]);
        }
        return true;
      default:
        return false;
    }
  }

  private openDesk(before?: Desk): Desk {
    const desk = new Desk(
      new Editor(this.board.doc.get(), this.board.origin, this.env.measure),
      this.may,
      this.mayAdd,
    );
    if (before !== undefined) {
      desk.tool.set(before.tool.get());
      desk.choice.set(before.choice.get());
      desk.grid.set(before.grid.get());
      desk.camera.set(before.camera.get());
      desk.size = before.size;
      if (desk.pages.get().some(({ id }) => id === before.page.get())) desk.page.set(before.page.get());
    }
    return desk;
  }

  /** What shows a desk. */
  private open(): Surface['parts'] {
    const desk = this.desk.get();
    const { words } = this.options;
    const handles = new Handles(desk, words);
    const writer = new Writer(desk, words.field);
    this.root.append(handles.root, writer.field);
    const overlay = new Overlay(desk);
    const painter = new Painter(this.base, canvas, () => this.shown(desk), this.env);
    const over = (): void => {
      this.isOverDirty = true;
      this.request();
      this.teller.touch();
    };
    const ends = [
      desk.subscribe((changes) => {
        painter.change(changes);
        const ids = new Set(changes.flatMap(({ before, after }) => after?.id ?? before?.id ?? []));
        if (this.moves.written(ids)) this.showMoves();
        this.request();
      }),
      desk.page.subscribe(() => this.repaint()),
      desk.camera.subscribe(over),
      desk.grid.subscribe(over),
      desk.tool.subscribe(over),
      desk.doing.subscribe(over),
      desk.selection.subscribe(over),
      desk.version.subscribe(over),
      desk.writing.subscribe(() => {
        // At once, so that the first key is not lost.
        writer.update(this.env.theme);
        over();
      }),
    ];
    return { handles, writer, overlay, painter, ends };
  }

  private closeParts(): void {
    for (const end of this.parts.ends) end();
    this.parts.writer.close();
    this.parts.handles.root.remove();
  }

  private listen(): void {
    const { root, board, ends } = this;
    const on = <Name extends keyof HTMLElementEventMap>(
      name: Name,
      listener: (event: HTMLElementEventMap[Name]) => void,
    ): void => root.addEventListener(name, listener);
    on('keydown', (event) => this.key(event));
    on('keyup', ({ code }) => {
      if (code === 'Space') this.isSpaceHeld = false;
      root.dataset.pan = String(this.isSpaceHeld);
    });
    on('blur', () => (this.isSpaceHeld = false));
    on('dblclick', (event) => this.doubleClick(event));
    on('copy', (event) => this.copy(event, false));
    on('cut', (event) => this.copy(event, true));
    on('paste', (event) => {
      if (event.target !== root || !this.allowed()) return;
      event.preventDefault();
      void this.bring(event.clipboardData, this.hover ?? this.desk.get().middle());
    });
    on('dragover', (event) => event.preventDefault());
    on('drop', (event) => {
      event.preventDefault();
      const { left, top } = root.getBoundingClientRect();
      const at = onPage(this.desk.get().camera.get(), [event.clientX - left, event.clientY - top]);
      if (this.allowed()) void this.bring(event.dataTransfer, at);
    });
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(this.host);
    // A font that arrives measures otherwise than the one that stood for it.
    const remeasure = (): void => {
      this.measure.forget();
      this.desk.get().editor.scene.remeasure();
    };
    document.fonts.addEventListener('loadingdone', remeasure);
    ends.push(
      () => document.fonts.removeEventListener('loadingdone', remeasure),
      () => observer.disconnect(),
      board.doc.subscribe(() => this.reopen()),
      board.presence.others.subscribe(() => this.hear()),
      board.state.subscribe(() => {
        const { mayDraw, full } = board.state.get();
        this.may.set(mayDraw);
        this.mayAdd.set(mayDraw && !full);
        this.isOverDirty = true;
        this.request();
      }),
    );
  }

  private readonly key = (event: KeyboardEvent): void => {
    if (event.defaultPrevented || event.target instanceof HTMLTextAreaElement) return;
    this.isFine = event.shiftKey;
    if (this.parts.handles.key(event.target, event.key, event.shiftKey)) {
      event.preventDefault();
      return;
    }
    // A handle is a button: Enter and Space are its own.
    const isOwn = event.target !== this.root && (event.key === 'Enter' || event.code === 'Space');
    if (isOwn) return;
    if (event.code === 'Space' && !event.ctrlKey && this.hover !== null) {
      this.isSpaceHeld = true;
      this.root.dataset.pan = 'true';
      event.preventDefault();
      return;
    }
    const action = actionOf(event);
    if (action !== null && this.act(action)) event.preventDefault();
  };

  private doubleClick(event: MouseEvent): void {
    const desk = this.desk.get();
    if (desk.tool.get() !== 'select' || event.target instanceof HTMLTextAreaElement || !this.may.get())
      return;
    const { left, top } = this.root.getBoundingClientRect();
    const at = onPage(desk.camera.get(), [event.clientX - left, event.clientY - top]);
    const hit = desk.at(at, 4 / desk.camera.get().zoom);
    if (hit === null) {
      if (this.mayAdd.get()) place(desk, 'text', at);
    } else if (hasText(hit) && !hit.locked) {
      desk.select([hit.id]);
      desk.writing.set(hit.id);
    }
  }

  private copy(event: ClipboardEvent, cuts: boolean): void {
    if (event.target instanceof HTMLTextAreaElement) return;
    const desk = this.desk.get();
    const text = copied(desk);
    if (text === null) return;
    event.preventDefault();
    event.clipboardData?.setData('text/plain', text);
    if (cuts && this.may.get()) desk.editor.remove(desk.selection.get());
  }

  private async bring(data: DataTransfer | null, at: Point): Promise<void> {
    const brought = broughtBy(data);
    const { notice } = this.options;
    this.uploading.set(this.uploading.get() + 1);
    try {
      const failed = (words: string): void => notice({ kind: 'image', words });
      const isDone = await put(this.desk.get(), this.board.images, brought, at, failed);
      if (!isDone) notice({ kind: 'no-paste' });
    } finally {
      this.uploading.set(this.uploading.get() - 1);
    }
  }

  /** Another document: what was half done is gone, where one was stays. */
  private reopen(): void {
    const before = this.desk.get();
    this.pointers.cancel();
    before.letGo();
    this.closeParts();
    const desk = this.openDesk(before);
    before.close();
    this.desk.set(desk);
    this.parts = this.open();
    this.repaint();
  }

  /** Others did something. */
  private hear(): void {
    const now = performance.now();
    const seen = this.crowd.take(this.board.presence.others.get());
    this.others.set(seen);
    const states = new Map([...seen].map(([client, { state }]) => [client, state]));
    const { scene } = this.desk.get().editor;
    this.strokes.take(states, (id) => scene.get(id) !== undefined, now);
    if (this.moves.take(states, now)) this.showMoves();
    this.goAlong();
    this.isOverDirty = true;
    this.request();
  }

  /** Looks where the one looks who is followed. */
  private goAlong(): void {
    const client = this.following.get();
    if (client === null) return;
    const seen = this.others.get().get(client);
    if (seen === undefined) {
      this.following.set(null);
      return;
    }
    const desk = this.desk.get();
    const { page, view } = seen.state;
    if (page !== undefined && desk.pages.get().some(({ id }) => id === page)) desk.go(page);
    if (view === undefined) return;
    const { x, y, width, height } = view;
    const box = { left: x - width / 2, top: y - height / 2, right: x + width / 2, bottom: y + height / 2 };
    desk.look(fitted(box, desk.size, Infinity));
  }

  private moved: ReadonlyMap<string, readonly Shape[]> = new Map();

  /** Shows objects where others are moving them. */
  private showMoves(): void {
    const desk = this.desk.get();
    const { scene } = desk.editor;
    const next = this.moves.overrides((id) => scene.get(id));
    const changes = [];
    for (const id of new Set([...this.moved.keys(), ...next.keys()])) {
      for (const shape of [...(this.moved.get(id) ?? []), ...(next.get(id) ?? [])]) {
        changes.push({ before: shape, after: shape });
      }
      const written = scene.get(id);
      if (written !== undefined) changes.push({ before: written, after: written });
    }
    this.moved = next;
    this.parts.painter.change(changes);
    this.request();
  }

  /** What is to be shown: one's own moves come before those of others. */
  private shown(desk: Desk): readonly Shape[] {
    const shapes = desk.shown();
    if (this.moved.size === 0) return shapes;
    return shapes.flatMap((shape) =>
      desk.overrides.has(shape.id) ? [shape] : (this.moved.get(shape.id) ?? [shape]),
    );
  }

  private resize(): void {
    const { clientWidth, clientHeight } = this.host;
    if (clientWidth === 0 || clientHeight === 0) return;
    this.ratio = Math.min(MOST_RATIO, devicePixelRatio);
    const size: Size = { width: clientWidth, height: clientHeight };
    const desk = this.desk.get();
    const [width, height] = [Math.round(size.width * this.ratio), Math.round(size.height * this.ratio)];
    for (const { canvas: element } of [this.base, this.over]) {
      element.width = width;
      element.height = height;
    }
    const before = desk.size;
    const camera = desk.camera.get();
    // What was in the middle stays there, also when a phone is turned.
    const isKnown = before.width > 0;
    const [dx, dy] = isKnown ? [(before.width - size.width) / 2, (before.height - size.height) / 2] : [0, 0];
    desk.size = size;
    desk.look({ ...camera, x: camera.x + dx / camera.zoom, y: camera.y + dy / camera.zoom });
    this.repaint();
    this.goAlong();
  }

  private viewOf(desk: Desk): View {
    const { x, y, zoom } = desk.camera.get();
    const scale = zoom * this.ratio;
    return { left: Math.round(x * scale), top: Math.round(y * scale), scale };
  }

  private repaint(): void {
    this.view = this.viewOf(this.desk.get());
    this.parts.painter.reset(this.view, this.env);
    this.isOverDirty = true;
    this.request();
  }

  private request(): void {
    if (this.frame === 0) this.frame = requestAnimationFrame(this.draw);
  }

  private readonly draw = (): void => {
    this.frame = 0;
    const desk = this.desk.get();
    const { painter, overlay, handles, writer } = this.parts;
    this.view = this.viewOf(desk);
    painter.look(this.view);
    const isDone = painter.frame(this.isOpening ? OPENING_BUDGET_MS : BUDGET_MS);
    if (isDone && this.board.state.get().phase === 'ready') this.isOpening = false;
    const { scene } = desk.editor;
    const states = new Map([...this.others.get()].map(([client, { state }]) => [client, state]));
    const isWritten = (id: string): boolean => scene.get(id) !== undefined;
    if (!this.strokes.isEmpty && this.strokes.sweep(states, isWritten, performance.now())) {
      this.isOverDirty = true;
    }
    if (!this.moves.isEmpty && this.moves.take(states, performance.now())) this.showMoves();
    let moves = !this.strokes.isEmpty || !this.moves.isEmpty;
    if (this.isOverDirty) {
      this.isOverDirty = false;
      const { width, height } = this.over.canvas;
      const context = this.over.context;
      const glides = overlay.draw(
        context,
        { width, height },
        this.view,
        this.env,
        this.others.get(),
        this.strokes,
        performance.now(),
      );
      this.drawOwn(context, desk);
      handles.update();
      writer.update(this.env.theme);
      this.dress(desk);
      if (glides) this.isOverDirty = moves = true;
    }
    // For who measures, or takes a picture.
    this.root.dataset.drawn = String(isDone);
    if (!isDone || moves) this.request();
  };

  /** The marquee and the rubber. */
  private drawOwn(context: Context, desk: Desk): void {
    const { marquee, rubber } = desk.doing.get();
    const { left, top, scale } = this.view;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.lineWidth = this.ratio;
    context.setLineDash([]);
    context.strokeStyle = PALETTE.blue.line[this.env.theme];
    if (marquee !== null) {
      const box = grown(marquee, 0);
      const rect = [
        box.left * scale - left,
        box.top * scale - top,
        (box.right - box.left) * scale,
        (box.bottom - box.top) * scale,
      ] as const;
      context.globalAlpha = 0.12;
      context.fillStyle = PALETTE.blue.line[this.env.theme];
      context.fillRect(...rect);
      context.globalAlpha = 1;
      context.strokeRect(...rect);
    }
    if (rubber !== null) {
      context.strokeStyle = PALETTE.gray.line[this.env.theme];
      context.beginPath();
      context.arc(
        rubber.at[0] * scale - left,
        rubber.at[1] * scale - top,
        Math.max(3, rubber.radius * scale),
        0,
        2 * Math.PI,
      );
      context.stroke();
    }
  }

  /** What style sheets go by. */
  private dress(desk: Desk): void {
    const { dataset, style } = this.root;
    const { x, y, zoom } = desk.camera.get();
    dataset.theme = this.env.theme;
    dataset.tool = desk.tool.get();
    dataset.may = String(this.may.get());
    dataset.grid = String(desk.grid.get());
    // Dots that would lie too near are left out, every second one.
    const step = GRID * zoom * 2 ** Math.max(0, Math.ceil(Math.log2(14 / (GRID * zoom))));
    style.setProperty('--board-step', `${step}px`);
    style.setProperty('--board-x', `${-x * zoom}px`);
    style.setProperty('--board-y', `${-y * zoom}px`);
  }
}

function canvas(width: number, height: number): Canvas {
  const element = document.createElement('canvas');
  element.width = width;
  element.height = height;
  const context = element.getContext('2d');
  if (context === null) throw new Error('this browser gives no canvas');
  return { canvas: element, context };
}

function dataUrl(image: HTMLImageElement): string {
  const { canvas: element, context } = canvas(image.naturalWidth, image.naturalHeight);
  context.drawImage(image, 0, 0);
  return (element as HTMLCanvasElement).toDataURL('image/png');
}
