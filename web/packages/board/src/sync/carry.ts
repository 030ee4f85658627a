import * as Y from 'yjs';
import { difference } from '../model/text.js';

/** The names of a board's root maps. */
export const ROOTS = ['objects', 'pages'] as const;

/** Keys of entries of the roots that somebody has changed; null for the entry itself: it was made, replaced or deleted. */
export type Touched = Map<string, Set<string | null>>;

/** What a transaction has changed, as far as it concerns a board. */
export function touchedBy(doc: Y.Doc, transaction: Y.Transaction): Touched {
  const touched: Touched = new Map();
  const add = (root: string, id: string, key: string | null): void => {
    const name = JSON.stringify([root, id]);
    touched.set(name, (touched.get(name) ?? new Set()).add(key));
  };
  for (const [type, keys] of transaction.changed) {
    const path = pathOf(doc, type as Y.AbstractType<unknown>);
    if (path === null) continue;
    const { root, id, key } = path;
    for (const changed of keys) {
      if (id === undefined) {
        if (changed !== null) add(root, changed, null);
      } else if (key !== undefined) add(root, id, key);
      else if (changed !== null) add(root, id, changed);
    }
  }
  return touched;
}

/** Root, entry and key that a shared type is at or below; null where that is no place of a board any more. */
function pathOf(
  doc: Y.Doc,
  type: Y.AbstractType<unknown>,
): { root: string; id: string | undefined; key: string | undefined } | null {
  const keys: string[] = [];
  let at = type;
  while (at._item !== null) {
    const { parent, parentSub } = at._item;
    if (parentSub !== null) keys.unshift(parentSub);
    if (!(parent instanceof Y.AbstractType)) return null;
    at = parent as Y.AbstractType<unknown>;
  }
  const root = ROOTS.find((name) => doc.share.get(name) === at);
  return root === undefined ? null : { root, id: keys[0], key: keys[1] };
}

/**
 * Does to `to` what was done to `from`: entries that were made are there as they are in `from`, keys that were changed
 * have its values, what was deleted is gone. What somebody else has deleted meanwhile stays so.
 */
export function carry(from: Y.Doc, to: Y.Doc, touched: Touched): void {
  for (const [name, keys] of touched) {
    const [root, id] = JSON.parse(name) as [string, string];
    const [source, target] = [from.getMap(root), to.getMap(root)];
    const [own, other] = [source.get(id), target.get(id)];
    if (own === undefined) {
      if (keys.has(null) && other !== undefined) target.delete(id);
    } else if (!(own instanceof Y.Map) || !(other instanceof Y.Map)) {
      if (keys.has(null)) target.set(id, copy(own));
    } else {
      const changed = keys.has(null) ? new Set([...own.keys(), ...other.keys()]) : keys;
      for (const key of changed) if (key !== null) carryKey(own, other, key);
    }
  }
}

function carryKey(from: Y.Map<unknown>, to: Y.Map<unknown>, key: string): void {
  const [own, other] = [from.get(key), to.get(key)];
  if (own === undefined) {
    if (other !== undefined) to.delete(key);
  } else if (own instanceof Y.Text && other instanceof Y.Text) retype(other, own.toJSON());
  else if (!isSame(own, other)) to.set(key, copy(own));
}

/** Changes a text where it differs, so that what others write beside it stays. */
function retype(text: Y.Text, to: string): void {
  const { at, removed, inserted } = difference(text.toJSON(), to);
  if (removed > 0) text.delete(at, removed);
  if (inserted !== '') text.insert(at, inserted);
}

function copy(value: unknown): unknown {
  return value instanceof Y.AbstractType ? value.clone() : value;
}

function isSame(one: unknown, other: unknown): boolean {
  if (one instanceof Y.AbstractType && other instanceof Y.AbstractType)
    return JSON.stringify(one.toJSON()) === JSON.stringify(other.toJSON());
  return Object.is(one, other) || JSON.stringify(one) === JSON.stringify(other);
}
