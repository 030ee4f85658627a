import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { carry, touchedBy, type Touched } from './carry.js';
import { cut, deletesOf } from './cut.js';

function document(client: number): Y.Doc {
  const doc = new Y.Doc();
  doc.clientID = client;
  for (const root of ['objects', 'pages']) doc.getMap(root);
  return doc;
}

function draw(doc: Y.Doc, id: string, fields: Record<string, unknown>): void {
  doc.getMap('objects').set(id, new Y.Map(Object.entries(fields)));
}

function object(doc: Y.Doc, id: string): Y.Map<unknown> {
  return doc.getMap('objects').get(id) as Y.Map<unknown>;
}

describe('parts of an update', () => {
  it('are in order and make the same document', () => {
    const doc = document(7);
    const updates: Uint8Array[] = [];
    doc.on('update', (update: Uint8Array) => updates.push(update));
    doc.transact(() => {
      for (let n = 0; n < 200; n += 1) draw(doc, `o${n}`, { points: new Uint8Array(300).fill(n), n });
      doc.getMap('objects').delete('o7');
    });
    const [update] = updates;
    const parts = cut(update ?? new Uint8Array(), 10_000);
    expect(parts.length).toBeGreaterThan(5);
    for (const part of parts) expect(part.length).toBeLessThan(10_500);
    const other = document(9);
    for (const part of parts) {
      Y.applyUpdate(other, part);
      // Nothing waits for something that comes later.
      expect(other.store.pendingStructs).toBeNull();
      expect(other.store.pendingDs).toBeNull();
    }
    expect(other.getMap('objects').toJSON()).toEqual(doc.getMap('objects').toJSON());
    expect(object(other, 'o7')).toBeUndefined();
  });

  it('that delete what is there go by themselves', () => {
    const doc = document(7);
    draw(doc, 'a', { x: 1 });
    const known = Y.encodeStateAsUpdate(doc);
    const has = Y.decodeStateVector(Y.encodeStateVector(doc)).get(7) ?? 0;
    let update = new Uint8Array();
    doc.on('update', (bytes: Uint8Array) => (update = new Uint8Array(bytes)));
    doc.transact(() => {
      draw(doc, 'b', { x: 2 });
      doc.getMap('objects').delete('a');
      doc.getMap('objects').delete('b');
    });
    const deletes = deletesOf(update, 7, has);
    const other = document(9);
    Y.applyUpdate(other, known);
    Y.applyUpdate(other, deletes ?? new Uint8Array());
    expect(other.store.pendingDs).toBeNull();
    expect(other.getMap('objects').size).toBe(0);
    expect(deletesOf(known, 7, has)).toBeNull();
  });
});

describe('what is drawn anew on another document', () => {
  function changed(doc: Y.Doc, change: () => void): Touched {
    let touched: Touched = new Map();
    const take = (transaction: Y.Transaction): void => {
      touched = touchedBy(doc, transaction);
    };
    doc.on('afterTransaction', take);
    doc.transact(change);
    doc.off('afterTransaction', take);
    return touched;
  }

  it('is what was done, and leaves alone what others did', () => {
    const before = document(7);
    draw(before, 'kept', { t: [0, 0], color: 'red', text: new Y.Text('one two') });
    draw(before, 'gone', { t: [0, 0] });
    draw(before, 'erased', { t: [0, 0] });
    // Compacted: the same things in another document, on which others went on.
    const now = document(8);
    draw(now, 'kept', { t: [0, 0], color: 'blue', text: new Y.Text('one two!') });
    draw(now, 'erased', { t: [0, 0] });
    draw(now, 'theirs', { t: [5, 5] });
    const touched = changed(before, () => {
      draw(before, 'new', { t: [1, 1], points: new Uint8Array([1, 2]), text: new Y.Text('한글') });
      object(before, 'kept').set('t', [9, 9]);
      object(before, 'gone').set('t', [9, 9]);
      before.getMap('objects').delete('erased');
      before.getMap('pages').set('p', new Y.Map([['order', 'a0']]));
    });
    carry(before, now, touched);
    // Twice is once: of what the server may have taken already nothing comes twice.
    carry(before, now, touched);
    expect(now.getMap('objects').toJSON()).toEqual({
      kept: { t: [9, 9], color: 'blue', text: 'one two!' },
      new: { t: [1, 1], points: new Uint8Array([1, 2]), text: '한글' },
      theirs: { t: [5, 5] },
    });
    expect(now.getMap('pages').toJSON()).toEqual({ p: { order: 'a0' } });
    expect(object(now, 'new').get('text')).toBeInstanceOf(Y.Text);
  });

  it('is what was written, beside what others wrote', () => {
    const before = document(7);
    draw(before, 'note', { text: new Y.Text('one two') });
    const now = document(8);
    draw(now, 'note', { text: new Y.Text('one two') });
    const text = object(now, 'note').get('text');
    const touched = changed(before, () =>
      (object(before, 'note').get('text') as Y.Text).insert(3, ' and a half'),
    );
    carry(before, now, touched);
    expect(object(now, 'note').toJSON()).toEqual({ text: 'one and a half two' });
    expect(object(now, 'note').get('text')).toBe(text);
  });

  it('is whole signs of a text, not halves of them', () => {
    // One has the first half in common with what was there, the other the second.
    for (const sign of ['\u{1F601}', '\u{1FA00}']) {
      const before = document(7);
      draw(before, 'note', { text: new Y.Text('a\u{1F600}z') });
      const now = document(8);
      draw(now, 'note', { text: new Y.Text('a\u{1F600}z') });
      const other = document(9);
      Y.applyUpdate(other, Y.encodeStateAsUpdate(now));
      now.on('update', (update: Uint8Array) => {
        Y.applyUpdate(other, update);
      });
      const touched = changed(before, () => {
        const text = object(before, 'note').get('text') as Y.Text;
        text.delete(1, 2);
        text.insert(1, sign);
      });
      carry(before, now, touched);
      for (const doc of [now, other]) expect(object(doc, 'note').toJSON()).toEqual({ text: `a${sign}z` });
    }
  });
});
