// @vitest-environment node
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

it('are all named in index.css, each once', () => {
  const source = join(import.meta.dirname, '..');
  const named = readFileSync(join(import.meta.dirname, 'index.css'), 'utf8').matchAll(/@import '(.*)';/g);
  const imported = [...named].map(([, file = '']) => join('styles', file));
  const present = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.css') && file !== join('styles', 'index.css'),
  );
  expect(imported.length).toBeGreaterThan(20);
  expect(imported.sort()).toEqual(present.sort());
});
