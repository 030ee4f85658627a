import { isValidElement } from 'react';
import { describe, expect, it } from 'vitest';
import { pageAt, PAGES } from './registry';

function at(path: string): [string, unknown] | null {
  const found = pageAt(path);
  return found === null ? null : [found.page.name, isValidElement(found.view) ? found.view.props : null];
}

describe('the pages', () => {
  it('are found by their paths, and nothing else is', () => {
    expect(at('/')).toEqual(['home', {}]);
    expect(at('/studio/')).toEqual(['studio', {}]);
    expect(at('/watch/12')).toEqual(['watch', { id: 12 }]);
    for (const path of [
      '/watch',
      '/watch/0',
      '/watch/x',
      '/watch/1/2',
      '/watch/9999999999999999',
      '/studio/1',
      '/call',
      '/admin',
    ]) {
      expect(at(path), path).toBeNull();
    }
  });

  it('have a name of their own', () => {
    expect(new Set(PAGES.map(({ name }) => name)).size).toBe(PAGES.length);
  });
});
