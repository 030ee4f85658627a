// @vitest-environment node
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { NAME_COLOURS, nameColour } from './name-colour';

const read = (file: string): string => readFileSync(join(import.meta.dirname, '..', file), 'utf8');

/** Relative luminance of `#rrggbb` (WCAG 2.2). */
function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [light = 0, dark = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

/** What a variable is in the blocks of a style sheet, in their order. */
function values(css: string, name: string): string[] {
  return [...css.matchAll(new RegExp(`--${name}: (#[0-9a-f]{6});`, 'g'))].map(([, value = '']) => value);
}

it('gives names colours that can be read on every surface of a chat, in both themes', () => {
  const rule = /data-colour='(\d+)'\] \{\s*color: light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g;
  const colours = [...read('components/chat/chat.css').matchAll(rule)];
  expect(colours.map(([, number]) => Number(number))).toEqual(
    Array.from({ length: NAME_COLOURS }, (_, i) => i),
  );
  const [tokens, night] = [read('styles/tokens.css'), read('pages/call/night.css')];
  const surfaces = ['surface', 'surface-2', 'accent-soft'].map((name) => values(tokens, name));
  const light = surfaces.map(([value = '']) => value);
  const dark = surfaces.map(([, value = '']) => value);
  dark.push(...['surface', 'surface-2', 'accent-soft'].flatMap((name) => values(night, name)));
  expect([light.length, dark.length]).toEqual([3, 6]);
  for (const [, number, day = '', evening = ''] of colours) {
    for (const surface of light)
      expect(contrast(day, surface), `${number} on ${surface}`).toBeGreaterThan(4.5);
    for (const surface of dark)
      expect(contrast(evening, surface), `${number} on ${surface}`).toBeGreaterThan(4.5);
  }
});

it('uses all of them, and the same one for a person every time', () => {
  const used = Array.from({ length: 1_200 }, (_, index) => nameColour(`par_${index.toString(36)}`));
  const counts = Array.from(
    { length: NAME_COLOURS },
    (_, colour) => used.filter((one) => one === colour).length,
  );
  expect(Math.min(...counts)).toBeGreaterThan(50);
  expect(nameColour('par_7')).toBe(nameColour('par_7'));
});
