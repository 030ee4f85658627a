import type { Draft } from '../src/model/write.js';
import type { Dice } from './dice.js';

const COLORS = ['ink', 'red', 'blue', 'green', '#12ab9f'];

/** A hand-drawn line of `count` points around (0, 0). */
export function scribble(dice: Dice, count: number): Float32Array {
  const points = [0, 0];
  let heading = dice.between(0, 6.3);
  for (let index = 1; index < count; index++) {
    heading += dice.between(-0.5, 0.5);
    const [x = 0, y = 0] = points.slice(-2);
    points.push(x + 5 * Math.cos(heading), y + 5 * Math.sin(heading));
  }
  return Float32Array.from(points);
}

/** Any object, within some 600 units. */
export function anyDraft(dice: Dice): Draft {
  const t = [
    dice.between(-300, 300),
    dice.between(-300, 300),
    dice.between(0.5, 2),
    dice.between(0.5, 2),
    dice.of([0, 0, 0, 1, -2, Math.PI / 2]),
  ] as const;
  const style = {
    t,
    color: dice.of(COLORS),
    width: dice.of([1, 2, 4, 12]),
    dashed: dice.random() < 0.2,
  };
  const size = { w: dice.between(10, 200), h: dice.between(10, 200) };
  const type = dice.of([
    'pen',
    'pen',
    'pen',
    'marker',
    'line',
    'arrow',
    'rectangle',
    'ellipse',
    'text',
    'note',
  ] as const);
  switch (type) {
    case 'pen': {
      const points = scribble(dice, 2 + dice.below(40));
      const pressure =
        dice.random() < 0.3
          ? Uint8Array.from(points.slice(1, points.length / 2), () => dice.below(256))
          : null;
      return { type, ...style, dashed: false, points, pressure };
    }
    case 'marker':
      return { type, ...style, dashed: false, points: scribble(dice, 2 + dice.below(20)) };
    case 'line':
    case 'arrow':
      return {
        type,
        ...style,
        points: Float32Array.of(0, 0, dice.between(-200, 200), dice.between(-200, 200)),
      };
    case 'rectangle':
    case 'ellipse':
      return { type, ...style, ...size, fill: dice.of([null, 'yellow', 'red']) };
    case 'text':
      return {
        type,
        ...style,
        t: [t[0], t[1], t[2], t[2], t[4]],
        text: dice.of(['one', 'two words', 'three\nlines\nhere']),
      };
    case 'note':
      return { type, ...style, ...size, fill: 'yellow', text: 'a note with some words' };
  }
}
