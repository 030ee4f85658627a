import { expect, it } from 'vitest';
import { sentences } from './announce';

it('names few and counts many, each kind for itself', () => {
  expect(sentences([])).toEqual([]);
  const joined = ['Anna', 'Bert'].map((name) => ({ what: 'joined' as const, name }));
  expect(sentences(joined)).toHaveLength(2);
  const crowd = Array.from({ length: 30 }, (_, n) => ({ what: 'joined' as const, name: `P${n}` }));
  const said = sentences([...crowd, { what: 'hand', name: 'Cleo' }]);
  expect(said).toHaveLength(2);
  expect(said[0]).toContain('30');
  expect(said[1]).toContain('Cleo');
});
