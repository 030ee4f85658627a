import { expect, it } from 'vitest';
import { type Piece, piecesOf } from './links';

const links = (text: string): Exclude<Piece, string>[] =>
  piecesOf(text).filter((piece) => typeof piece !== 'string');
const shown = (text: string): string | undefined => links(text)[0]?.shown;

it('finds links within a sentence, and leaves the sentence as it is', () => {
  expect(piecesOf('see https://example.org/a(b), and (http://example.org/c).')).toEqual([
    'see ',
    { href: 'https://example.org/a(b)', shown: 'example.org/a(b)' },
    ', and (',
    { href: 'http://example.org/c', shown: 'http://example.org/c' },
    ').',
  ]);
  expect(piecesOf('nothing here')).toEqual(['nothing here']);
  expect(piecesOf('')).toEqual([]);
  expect(shown('https://example.org')).toBe('example.org');
  expect(shown('HTTPS://EXAMPLE.org/')).toBe('example.org');
});

it('takes nothing for a link that is not one of the web', () => {
  for (const text of [
    'javascript:alert(1)',
    'data:text/html,x',
    'https://',
    'http://[',
    'ftp://a.b/c',
    'xhttps//a.b',
    'https://bank.example@evil.example/',
    'https://user:secret@evil.example/',
  ])
    expect(piecesOf(text), text).toEqual([text]);
});

it('shows where a link goes, whatever letters it is written in', () => {
  // A Cyrillic "a".
  expect(links('https://\u0430pple.com/x')).toEqual([
    { href: 'https://xn--pple-43d.com/x', shown: 'xn--pple-43d.com/x' },
  ]);
  expect(shown('https://한국.kr/길')).toBe('xn--3e0b707e.kr/길');
  // Turned around it would look like another host.
  expect(links('https://evil.example/\u202egro.knab')).toEqual([]);
  expect(shown('https://evil.example/%E2%80%AEgro.knab')).toBe('evil.example/%E2%80%AEgro.knab');
  expect(shown('https://0x7f.1/')).toBe('127.0.0.1');
  const long = shown(`https://example.org/${'a'.repeat(300)}end`) ?? '';
  expect(long.length).toBeLessThan(90);
  expect(long).toMatch(/^example\.org\/a+…a+end$/);
});

it('loses no character, whatever is written', () => {
  const parts = [
    'https://',
    'http://a.b',
    ' ',
    ')',
    '(',
    '.',
    '@',
    '\u202e',
    '%E2%80%AE',
    '한',
    '😀',
    '//',
    'x',
  ];
  for (let seed = 1; seed < 2_000; seed += 1) {
    let [state, text] = [seed, ''];
    for (let part = 0; part < 8; part += 1) {
      state = (state * 48_271) % 2_147_483_647;
      text += parts[state % parts.length] ?? '';
    }
    const outside = piecesOf(text).filter((piece) => typeof piece === 'string');
    let rest = text;
    for (const piece of outside) {
      expect(rest.includes(piece), text).toBe(true);
      rest = rest.slice(rest.indexOf(piece) + piece.length);
    }
    for (const { href } of links(text)) expect(['http:', 'https:']).toContain(new URL(href).protocol);
  }
});
