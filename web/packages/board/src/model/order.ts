/**
 * What lies above what: each object has a string, and the greater one lies above. Between two strings there is always
 * another one, so nobody else's has to change. Signs are digits of base 62, read as a fraction.
 */
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const BASE = DIGITS.length;
/** Digits of an order on top of all or below all. */
const LENGTH = 6;
const SPACE = BASE ** LENGTH;
/** Longer ones are not believed. */
const LONGEST = 256;

/** Whether a document's value can be an order. */
export function isOrder(value: unknown): value is string {
  return typeof value === 'string' && value.length <= LONGEST && /^[0-9A-Za-z]+$/.test(value);
}

/**
 * An order above `below` and below `above`; null is the end. `random` (0 to 1) keeps those apart that two people choose
 * at once; objects of the same order lie in the order of their ids.
 */
export function orderBetween(below: string | null, above: string | null, random = Math.random): string {
  const step = 1 + Math.floor(random() * (BASE - 2));
  if (below === null && above === null) return written(Math.floor(SPACE / 2) + step);
  if (above === null) {
    const next = leading(below ?? '') + step;
    return next < SPACE ? written(next) : middle(below ?? '', null, random);
  }
  if (below === null) {
    const next = leading(above) - step;
    return next > 0 ? written(next) : middle('', above, random);
  }
  return middle(below, above, random);
}

/** `count` orders one above the other, between two. */
export function ordersBetween(
  below: string | null,
  above: string | null,
  count: number,
  random = Math.random,
): string[] {
  const orders: string[] = [];
  for (let last = below; orders.length < count;) {
    last = orderBetween(last, above, random);
    orders.push(last);
  }
  return orders;
}

/** Compares by order, then by id, so that it is the same everywhere. */
export function byOrder(one: { order: string; id: string }, other: { order: string; id: string }): number {
  if (one.order !== other.order) return one.order < other.order ? -1 : 1;
  return one.id < other.id ? -1 : one.id > other.id ? 1 : 0;
}

function digit(text: string, index: number): number {
  return Math.max(0, DIGITS.indexOf(text.charAt(index) || '0'));
}

function leading(text: string): number {
  let value = 0;
  for (let index = 0; index < LENGTH; index++) value = value * BASE + digit(text, index);
  return value;
}

function written(value: number): string {
  let text = '';
  for (let rest = value; text.length < LENGTH; rest = Math.floor(rest / BASE)) {
    text = DIGITS.charAt(rest % BASE) + text;
  }
  return text;
}

function middle(below: string, above: string | null, random: () => number): string {
  let prefix = '';
  let bound = above;
  const longest = Math.max(below.length, above?.length ?? 0) + 1;
  for (let index = 0; index <= longest; index++) {
    const low = digit(below, index);
    const high = bound === null ? BASE : digit(bound, index);
    if (high - low > 1) return prefix + DIGITS.charAt(low + 1 + Math.floor(random() * (high - low - 1)));
    prefix += DIGITS.charAt(low);
    if (high > low) bound = null;
  }
  // Nothing fits between: the same, or one that ends with noughts more. Only a foreign client makes such ones.
  return `${below}V`;
}
