import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { differing, pixels, surface } from '../../test/canvas.js';
import { Dice } from '../../test/dice.js';
import { anyDraft } from '../../test/drafts.js';
import { Editor } from '../model/editor.js';
import { NO_CHANGE } from '../model/geometry.js';
import { FIRST_PAGE } from '../model/pages.js';
import { drawBoard, type Env, measureWith, type View } from './draw.js';
import { Painter } from './painter.js';

/** Pixels of soft edges, of 76,800, that may look otherwise. A line that is missing is a hundred. */
const SOFT = 25;
const SIZE = { width: 320, height: 240 };
const env: Env = { theme: 'light', measure: measureWith(surface(10, 10).context), image: () => null };

/** A painter and the document that it shows, on a clock that each look moves on by one. */
function bench(slow: boolean) {
  const editor = new Editor(new Y.Doc(), {}, env.measure);
  const shown = surface(SIZE.width, SIZE.height);
  let clock = 0;
  const painter = new Painter(
    shown,
    surface,
    () => editor.scene.page(FIRST_PAGE),
    env,
    () => (slow ? clock++ : clock),
  );
  let view: View = { left: -160, top: -120, scale: 1 };
  painter.reset(view);
  editor.scene.subscribe((changes) => painter.change(changes));
  const whole = () => {
    const expected = surface(SIZE.width, SIZE.height);
    drawBoard(expected.context, editor.scene.page(FIRST_PAGE), view, SIZE, env, null);
    return expected;
  };
  const look = (next: View) => painter.look((view = next));
  return { editor, painter, shown, whole, look, view: () => view };
}

describe('a painter', () => {
  it.each([
    [1, false],
    [2, true],
    [3, false],
    [4, true],
    [5, true],
    [6, true],
  ])('ends with the picture that a whole drawing makes (seed %i, slow: %s)', (seed, slow) => {
    const dice = new Dice(seed);
    const { editor, painter, shown, whole, look, view } = bench(slow);
    // Enough that a part of the picture takes several frames.
    for (let count = 0; slow && count < 150; count++) editor.add(FIRST_PAGE, anyDraft(dice));
    const rest = (): void => {
      for (let frames = 0; !painter.frame(3); frames++) expect(frames).toBeLessThan(2_000);
    };
    let painted = 0;
    for (let round = 0; round < 120; round++) {
      for (let many = dice.below(3); many >= 0; many--) {
        const ids = editor.scene.page(FIRST_PAGE).map(({ id }) => id);
        const some = dice.some(ids, 0.05);
        dice.of([
          () => editor.add(FIRST_PAGE, anyDraft(dice)),
          () => editor.add(FIRST_PAGE, anyDraft(dice)),
          () => editor.addAll(FIRST_PAGE, [anyDraft(dice), anyDraft(dice), anyDraft(dice)]),
          () => editor.change(some, { ...NO_CHANGE, dx: dice.between(-40, 40), dy: 10 }),
          () => editor.change(some, { ...NO_CHANGE, angle: 0.3, scaleX: 1.2, scaleY: 1.2 }),
          () => editor.style(some, { color: dice.of(['red', 'blue']), width: dice.of([1, 5]) }),
          () => editor.reorder(some, dice.of(['front', 'back', 'forward', 'backward'])),
          () => editor.remove(some),
          () => editor.undo(),
          () => {
            // Comes back below others, when nothing else is to be drawn.
            editor.remove(ids.slice(0, 1 + dice.below(3)));
            rest();
            editor.undo();
          },
          () =>
            look({
              ...view(),
              left: view().left + dice.below(61) - 30,
              top: view().top + dice.below(61) - 30,
            }),
          () => {
            const scale = dice.of([0.25, 0.5, 1, 1.37, 2]);
            look({ scale, left: dice.below(200) - 200, top: dice.below(200) - 200 });
          },
        ])();
      }
      // Sometimes more happens before all is drawn.
      for (let frames = dice.below(4); frames > 0; frames--) painter.frame(3);
      if (round % 6 !== 5) continue;
      rest();
      expect(differing(shown, whole()), `round ${round}`).toBeLessThan(SOFT);
      painted += pixels(shown).some((value) => value !== 0) ? 1 : 0;
    }
    expect(painted).toBeGreaterThan(10);
  });

  it('shows what there was at the new size until the new picture is ready', () => {
    const dice = new Dice(7);
    const { editor, painter, shown, whole, look } = bench(true);
    for (let count = 0; count < 200; count++) editor.add(FIRST_PAGE, anyDraft(dice));
    while (!painter.frame(3));
    look({ left: -200, top: -150, scale: 1.25 });
    expect(painter.frame(3)).toBe(false);
    expect(pixels(shown).filter((value) => value > 0).length).toBeGreaterThan(10_000);
    while (!painter.frame(3));
    expect(differing(shown, whole())).toBeLessThan(SOFT);
  });

  it('draws a part that was not ready when the view moved', () => {
    const dice = new Dice(9);
    const { editor, painter, shown, whole, look, view } = bench(true);
    for (let count = 0; count < 200; count++) editor.add(FIRST_PAGE, anyDraft(dice));
    while (!painter.frame(3));
    editor.style(
      editor.scene.page(FIRST_PAGE).map(({ id }) => id),
      { color: 'green', width: 9 },
    );
    expect(painter.frame(3)).toBe(false);
    look({ ...view(), left: view().left + 10 });
    while (!painter.frame(3));
    expect(differing(shown, whole())).toBeLessThan(SOFT);
  });

  it('looks at nothing but what changed', () => {
    const dice = new Dice(8);
    const { editor, painter } = bench(false);
    for (let count = 0; count < 300; count++) editor.add(FIRST_PAGE, anyDraft(dice));
    while (!painter.frame(1_000));
    expect(painter.isIdle).toBe(true);
    expect(painter.frame(1)).toBe(true);
  });
});
