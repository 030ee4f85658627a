import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { Dice } from '../../test/dice.js';
import { anyDraft } from '../../test/drafts.js';
import { Editor } from './editor.js';
import { erased, whole } from './erase.js';
import { NO_CHANGE, pointsOnPage } from './geometry.js';
import { boardSheet, readSheet } from './json.js';
import { byOrder } from './order.js';
import { FIRST_PAGE, pagesOf } from './pages.js';
import { Scene } from './scene.js';
import { isStroke, readShape, type Shape, TYPES } from './shape.js';

/** Somebody who draws, and what they have sent. */
class Drawer {
  readonly doc = new Y.Doc();
  readonly origin = {};
  readonly editor: Editor;
  readonly sent: Uint8Array[] = [];

  constructor(client: number) {
    this.doc.clientID = client;
    this.editor = new Editor(this.doc, this.origin);
    this.doc.on('update', (update: Uint8Array, _: unknown, __: unknown, { local }: Y.Transaction) => {
      if (local) this.sent.push(update);
    });
  }

  get ids(): string[] {
    return pagesOf(this.editor.scene).flatMap(({ id }) =>
      this.editor.scene.page(id).map((shape) => shape.id),
    );
  }
}

const TOOLS: readonly ((editor: Editor, dice: Dice, ids: string[], page: string) => unknown)[] = [
  (editor, dice, _, page) => editor.add(page, anyDraft(dice)),
  (editor, dice, _, page) => editor.add(page, anyDraft(dice)),
  (editor, dice, _, page) => editor.addAll(page, [anyDraft(dice), anyDraft(dice)]),
  (editor, dice, ids) =>
    editor.change(ids, { ...NO_CHANGE, dx: dice.between(-50, 50), angle: dice.between(-1, 1) }),
  (editor, dice, ids) =>
    editor.style(ids, { color: dice.of(['red', 'blue']), fill: dice.of([null, 'green']) }),
  (editor, _, ids) => editor.remove(ids.slice(0, 2)),
  (editor, dice, ids) => editor.lock(ids, dice.random() < 0.3),
  (editor, _, ids) => editor.group(ids),
  (editor, _, ids) => editor.ungroup(ids),
  (editor, dice, ids) => editor.reorder(ids, dice.of(['front', 'forward', 'backward', 'back'])),
  (editor, dice, ids) => editor.align(ids, dice.of(['left', 'center', 'right', 'top', 'middle', 'bottom'])),
  (editor, dice, ids) => editor.distribute(ids, dice.of(['x', 'y'])),
  (editor, _, ids) => editor.duplicate(ids),
  (editor, dice, ids) => {
    for (const id of ids) editor.write(id, dice.of(['other words', '', 'one']), false);
  },
  (editor, dice, ids) => {
    const strokes = editor.sorted(ids).filter(isStroke);
    const rubber = { from: [0, 0], to: [dice.between(-200, 200), 100], radius: 30 } as const;
    editor.split(new Map(strokes.map((shape) => [shape.id, erased(whole(pointsOnPage(shape)), rubber)])));
  },
  (editor, _, __, page) => editor.addPage(page),
  (editor, _, __, page) => editor.renamePage(page, 'A page'),
  (editor, dice, _, page) => dice.random() < 0.3 && editor.removePage(page),
  (editor, dice, _, page) => dice.random() < 0.1 && editor.clear(page),
  (editor) => editor.undo(),
  (editor) => editor.undo(),
  (editor) => editor.redo(),
];

function act(drawer: Drawer, dice: Dice): void {
  const page = dice.of(pagesOf(drawer.editor.scene)).id;
  dice.of(TOOLS)(drawer.editor, dice, dice.some(drawer.ids, 0.2), page);
}

function shown(scene: Scene): Shape[][] {
  return pagesOf(scene).map(({ id }) => [...scene.page(id)]);
}

describe('several who draw', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('end with the same, in any order, with repetitions (seed %i)', (seed) => {
    const dice = new Dice(seed);
    const drawers = [2, 3, 4].map((client) => new Drawer(client));
    const arrived = new Map(drawers.map((drawer) => [drawer, new Map<Drawer, number>()]));
    for (let round = 0; round < 300; round++) {
      const drawer = dice.of(drawers);
      act(drawer, dice);
      // Something of somebody else arrives, perhaps for the second time.
      const from = dice.of(drawers.filter((other) => other !== drawer));
      const has = arrived.get(drawer)?.get(from) ?? 0;
      const upTo = Math.min(from.sent.length, has + dice.below(4));
      for (const update of from.sent.slice(Math.max(0, has - dice.below(2)), upTo))
        Y.applyUpdate(drawer.doc, update);
      arrived.get(drawer)?.set(from, upTo);
      // The index is what a fresh look at the document finds.
      if (round % 20 === 0) expect(shown(drawer.editor.scene)).toEqual(shown(new Scene(drawer.doc)));
    }
    const all = drawers.flatMap(({ sent }) => sent);
    for (const drawer of drawers) {
      for (const update of all.toSorted(() => dice.random() - 0.5)) Y.applyUpdate(drawer.doc, update);
    }
    const [one, ...others] = drawers.map((drawer) => shown(drawer.editor.scene));
    expect(one?.flat().length).toBeGreaterThan(3);
    for (const other of others) expect(other).toEqual(one);
    for (const list of one ?? []) expect(list.toSorted(byOrder)).toEqual(list);
  });

  it.each([1, 2, 3, 4])('undo their own only, back to nothing (seed %i)', (seed) => {
    const dice = new Dice(seed * 100);
    const [anna, ben] = [new Drawer(2), new Drawer(3)];
    const kept = ben.editor.add(FIRST_PAGE, anyDraft(dice));
    Y.applyUpdate(anna.doc, Y.encodeStateAsUpdate(ben.doc));
    const before = shown(anna.editor.scene);
    // Anna works on what is hers only, so that nothing of it is Ben's business.
    const mine: string[] = [];
    for (let round = 0; round < 30; round++) {
      mine.push(anna.editor.add(FIRST_PAGE, anyDraft(dice)));
      anna.editor.change(dice.some(mine), { ...NO_CHANGE, dx: 7 });
      if (round % 5 === 0) anna.editor.remove(dice.some(mine, 0.2));
    }
    const after = shown(anna.editor.scene);
    while (anna.editor.undo());
    expect(shown(anna.editor.scene)).toEqual(before);
    expect(anna.editor.scene.get(kept)).toBeDefined();
    while (anna.editor.redo());
    expect(shown(anna.editor.scene)).toEqual(after);
  });

  it('do not bring back what another deleted by undoing a move', () => {
    const [anna, ben] = [new Drawer(2), new Drawer(3)];
    const id = anna.editor.add(FIRST_PAGE, anyDraft(new Dice(1)));
    Y.applyUpdate(ben.doc, Y.encodeStateAsUpdate(anna.doc));
    anna.editor.change([id], { ...NO_CHANGE, dx: 10 });
    ben.editor.remove([id]);
    Y.applyUpdate(anna.doc, Y.encodeStateAsUpdate(ben.doc));
    anna.editor.undo();
    expect(anna.editor.scene.get(id)).toBeUndefined();
  });

  it('keep what is drawn on a page that another removes meanwhile', () => {
    const [anna, ben] = [new Drawer(2), new Drawer(3)];
    const page = anna.editor.addPage(FIRST_PAGE) ?? '';
    Y.applyUpdate(ben.doc, Y.encodeStateAsUpdate(anna.doc));
    const id = ben.editor.add(page, anyDraft(new Dice(2)));
    anna.editor.removePage(page);
    expect(pagesOf(anna.editor.scene).map((each) => each.id)).toEqual([FIRST_PAGE]);
    Y.applyUpdate(anna.doc, Y.encodeStateAsUpdate(ben.doc));
    expect(pagesOf(anna.editor.scene).map((each) => each.id)).toEqual([FIRST_PAGE, page]);
    expect(anna.editor.scene.page(page).map((shape) => shape.id)).toEqual([id]);
  });
});

describe('an editor', () => {
  it('leaves what is locked as it is, but for unlocking it', () => {
    const { editor } = new Drawer(2);
    const id = editor.add(FIRST_PAGE, anyDraft(new Dice(3)));
    editor.lock([id], true);
    const locked = editor.scene.get(id);
    editor.change([id], { ...NO_CHANGE, dx: 10 });
    editor.style([id], { color: 'green' });
    editor.remove([id]);
    editor.clear(FIRST_PAGE);
    expect(editor.scene.get(id)).toEqual(locked);
    editor.lock([id], false);
    editor.clear(FIRST_PAGE);
    expect(editor.scene.get(id)).toBeUndefined();
    editor.undo();
    expect(editor.scene.get(id)).toBeDefined();
  });

  it('writes a thousand drags into a document that hardly grows', () => {
    const { doc, editor } = new Drawer(2);
    const id = editor.add(FIRST_PAGE, anyDraft(new Dice(4)));
    editor.history.destroy();
    const before = Y.encodeStateAsUpdate(doc).length;
    for (let drag = 0; drag < 1_000; drag++) editor.change([id], { ...NO_CHANGE, dx: 1 });
    expect(Y.encodeStateAsUpdate(doc).length - before).toBeLessThan(200);
  });

  it('gives a board as text and takes it back', () => {
    const dice = new Dice(5);
    const { editor } = new Drawer(2);
    for (let count = 0; count < 100; count++) editor.add(FIRST_PAGE, anyDraft(dice));
    const text = JSON.stringify(boardSheet(editor.scene));
    expect(readSheet(text)).toEqual([...editor.scene.page(FIRST_PAGE)]);
    const others = ['', 'x', '{}', '{"format":1}', '{"format":"madang-board"}'];
    others.push(
      '{"format":"madang-board","objects":{"a":null,"b":1,"c":{"type":"pen"},"__proto__":{"t":[]}}}',
    );
    for (const other of others) {
      expect(readSheet(other)?.length ?? 0).toBe(0);
    }
  });

  it('moves one object past the next', () => {
    const dice = new Dice(6);
    const { editor } = new Drawer(2);
    const ids = [0, 1, 2, 3].map(() => editor.add(FIRST_PAGE, anyDraft(dice)));
    const order = (): number[] => editor.scene.page(FIRST_PAGE).map(({ id }) => ids.indexOf(id));
    editor.reorder([ids[1] ?? ''], 'forward');
    expect(order()).toEqual([0, 2, 1, 3]);
    editor.reorder([ids[1] ?? ''], 'front');
    expect(order()).toEqual([0, 2, 3, 1]);
    editor.reorder([ids[3] ?? '', ids[1] ?? ''], 'back');
    expect(order()).toEqual([3, 1, 0, 2]);
    editor.reorder([ids[0] ?? ''], 'backward');
    expect(order()).toEqual([3, 0, 1, 2]);
  });
});

describe('any document', () => {
  it('is read without a fault, and what is shown has numbers that can be drawn', () => {
    const dice = new Dice(7);
    const values: unknown[] = [
      null,
      true,
      NaN,
      Infinity,
      -1,
      1e300,
      '',
      'V',
      '<script>',
      'x'.repeat(100_000),
      [],
      [1, 2, 3, 4, 5],
      [0, 0, 0, 0, 0],
      [1e9, 0, 1, 1, 0],
      ['1', 0, 1, 1, 0],
      { a: 1 },
      new Uint8Array(7),
      new Uint8Array(0),
      ...TYPES,
      FIRST_PAGE,
      'red',
      '#ffffff',
    ];
    const keys = [
      'type',
      'page',
      'order',
      't',
      'color',
      'fill',
      'width',
      'points',
      'pressure',
      'w',
      'h',
      'text',
      'fontSize',
      'image',
      'group',
    ];
    const doc = new Y.Doc();
    const scene = new Scene(doc);
    let seen = 0;
    for (let round = 0; round < 3_000; round++) {
      const map = new Y.Map<unknown>([
        ['type', dice.of(TYPES)],
        ['page', FIRST_PAGE],
        ['t', [0, 0, 1, 1, 0]],
        ['points', new Uint8Array(8)],
      ]);
      for (const key of dice.some(keys, 0.2))
        map.set(key, dice.of([...values, new Y.Text('words'), new Y.Map()]));
      doc.getMap('objects').set(`o${dice.below(50)}`, dice.random() < 0.1 ? dice.of(values) : map);
      const shape = map.doc === null ? null : readShape('o', map);
      if (shape === null) continue;
      seen++;
      for (const value of [...shape.t, shape.width, shape.w, shape.h, shape.fontSize])
        expect(Number.isFinite(value)).toBe(true);
      expect(shape.color).toMatch(/^(#[0-9a-f]{6}|[a-z]+)$/);
    }
    expect(seen).toBeGreaterThan(500);
    expect(shown(scene)).toEqual(shown(new Scene(doc)));
  });
});
