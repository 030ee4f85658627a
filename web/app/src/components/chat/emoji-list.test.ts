import { expect, it } from 'vitest';
import { EMOJI, findEmoji } from './emoji-list';

it('has each sign once, with words in both languages', () => {
  expect(new Set(EMOJI.map(({ sign }) => sign)).size).toBe(EMOJI.length);
  for (const { sign, words } of EMOJI) {
    expect(sign, words).toMatch(/\p{Emoji}/u);
    expect(words, sign).toMatch(/[a-z]/);
    expect(words, sign).toMatch(/[가-힣ㄱ-ㅎㅏ-ㅣ]/);
  }
});

it('finds by the beginning of a word in either language', () => {
  const signs = (query: string): string[] => findEmoji(query).map(({ sign }) => sign);
  expect(signs('rock')).toEqual(['🤘', '🚀']);
  expect(signs('로켓')).toEqual(['🚀']);
  expect(signs(' HEART eyes'.trim())).toEqual(['😍']);
  expect(signs('zzzz')).toEqual([]);
  expect(signs('')).toHaveLength(EMOJI.length);
});
