import { loadImage } from '@napi-rs/canvas';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { pixels, surface } from '../../test/canvas.js';
import { Dice } from '../../test/dice.js';
import { anyDraft } from '../../test/drafts.js';
import { Editor } from '../model/editor.js';
import { FIRST_PAGE } from '../model/pages.js';
import { type Env, measureWith } from './draw.js';
import { drawPicture, toSvg } from './export.js';

const env: Env = { theme: 'light', measure: measureWith(surface(10, 10).context), image: () => null };

function board(seed: number, count: number): Editor {
  const dice = new Dice(seed);
  const editor = new Editor(new Y.Doc(), {}, env.measure);
  for (let index = 0; index < count; index++) {
    const draft = anyDraft(dice);
    // Letters are drawn by other code in SVG.
    if (draft.type !== 'text' && draft.type !== 'note') editor.add(FIRST_PAGE, draft);
  }
  return editor;
}

describe('an export', () => {
  it('as SVG is the picture that the canvas shows', async () => {
    const { scene } = board(1, 60);
    const shapes = scene.page(FIRST_PAGE);
    const drawn = drawPicture(shapes, env, surface);
    const svg = toSvg(shapes, 'light', env.measure, () => null);
    const image = await loadImage(Buffer.from(svg));
    const { width, height } = drawn.canvas;
    const other = surface(width, height);
    other.context.drawImage(image as unknown as CanvasImageSource, 0, 0, width, height);
    const [a, b] = [pixels(drawn), pixels(other)];
    // Edges are softened by other code; areas and lines are the same.
    let far = 0;
    for (let at = 0; at < a.length; at++) if (Math.abs((a[at] ?? 0) - (b[at] ?? 0)) > 96) far++;
    expect(far / a.length).toBeLessThan(0.004);
    expect(a.filter((value) => value < 128).length).toBeGreaterThan(5_000);
  });

  it('lets no text become markup', () => {
    const editor = new Editor(new Y.Doc(), {}, env.measure);
    const text = '</text><script>alert(1)</script>&"\u0000\u0007';
    editor.add(FIRST_PAGE, { type: 'text', t: [0, 0, 1, 1, 0], text });
    editor.add(FIRST_PAGE, { type: 'image', t: [0, 0, 1, 1, 0], image: '"><script>', w: 10, h: 10 });
    const svg = toSvg(editor.scene.page(FIRST_PAGE), 'dark', env.measure, (image) => image);
    expect(svg).not.toContain('<script');
    expect(svg).not.toMatch(/[\u0000-\u0008]/);
    const parsed = new DOMParser().parseFromString(svg, 'image/svg+xml');
    expect(parsed.querySelector('tspan')?.textContent).toBe('</text><script>alert(1)</script>&"');
  });

  it('of nothing is a small sheet, of something huge not too large', () => {
    const editor = new Editor(new Y.Doc(), {}, env.measure);
    expect(drawPicture([], env, surface).canvas.width).toBe(800);
    editor.add(FIRST_PAGE, { type: 'rectangle', t: [0, 0, 1, 1, 0], w: 90_000, h: 50_000 });
    const { width, height } = drawPicture(editor.scene.page(FIRST_PAGE), env, surface).canvas;
    expect(Math.max(width, height)).toBeLessThanOrEqual(8_192);
    expect(width * height).toBeLessThanOrEqual(16_010_000);
  });
});
