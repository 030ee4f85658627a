import { describe, expect, it } from 'vitest';
import { addressOf, questionOf, type Question } from './question';

describe('the question of Home', () => {
  it('is the same after a way through the address', () => {
    const questions: Question[] = [
      { show: 'live', query: '' },
      { show: 'ended', query: 'cats & dogs' },
      { show: 'upcoming', query: '100% 한국' },
      { show: 'calls', query: '' },
    ];
    for (const question of questions) {
      const address = addressOf(question);
      expect(questionOf(new URL(address, 'http://any').search)).toEqual(question);
    }
    expect(addressOf({ show: 'live', query: '  ' })).toBe('/');
  });

  it('is as at the beginning where the address says nothing that there is', () => {
    for (const search of ['', '?show=nothing', '?other=1', '?show=', '?%zz'])
      expect(questionOf(search)).toEqual({ show: 'live', query: '' });
    expect(questionOf(`?q=${'x'.repeat(5_000)}`).query).toHaveLength(100);
  });
});
