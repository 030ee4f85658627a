import type { Person } from '@madang/sdk';

/**
 * Everybody whose name has `query` in it, oneself first, then in the order in which they came. Without a query those
 * with a hand up are left out: they stand above, in theirs.
 */
export function listPeople(
  people: ReadonlyMap<string, Person>,
  me: string | null,
  query: string,
  nameOf: (person: Person) => string,
): string[] {
  const wanted = folded(query.trim());
  const isListed = (person: Person): boolean =>
    wanted === '' ? !hasHandUp(person) : matches(folded(nameOf(person)), wanted);
  const found = [...people.values()].filter(isListed);
  const place = ({ participant, order }: Person): number => (participant === me ? -1 : order);
  return found.sort((a, b) => place(a) - place(b)).map(({ participant }) => participant);
}

/** Who has a hand up, in the order in which they were raised. */
export function handsOf(people: ReadonlyMap<string, Person>): string[] {
  const up = [...people.values()].filter(hasHandUp);
  return up.sort((a, b) => (a.hand ?? 0) - (b.hand ?? 0)).map(({ participant }) => participant);
}

function hasHandUp({ hand }: Person): boolean {
  return (hand ?? 0) > 0;
}

const FIRST_SYLLABLE = 0xac00;
const LAST_SYLLABLE = 0xd7a3;
/** Syllables that begin with the same consonant. */
const PER_INITIAL = 588;
const INITIALS = 'ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ';

/** Whether a name has the query in it; in Korean its first consonants are enough. */
function matches(name: string, query: string): boolean {
  if (name.includes(query)) return true;
  return Array.from(query).every((letter) => INITIALS.includes(letter)) && initialsOf(name).includes(query);
}

function initialsOf(name: string): string {
  return Array.from(name)
    .map((letter) => {
      const code = letter.codePointAt(0) ?? 0;
      if (code < FIRST_SYLLABLE || code > LAST_SYLLABLE) return letter;
      return INITIALS[Math.floor((code - FIRST_SYLLABLE) / PER_INITIAL)] ?? letter;
    })
    .join('');
}

/** Without case and accents, in one spelling. */
function folded(text: string): string {
  return text.normalize('NFD').replace(/\p{M}/gu, '').normalize('NFC').toLowerCase();
}
