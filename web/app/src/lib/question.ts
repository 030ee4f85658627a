/** What Home is asked: part of its address, so that going back and a link that is sent show the same. */

/** Which list. */
export type Show = 'live' | 'upcoming' | 'ended' | 'calls';

export interface Question {
  show: Show;
  /** Words to find, may be empty. */
  query: string;
}

/** Longest search, as the server takes it. */
export const MAX_QUERY = 100;

const SHOWS: readonly Show[] = ['live', 'upcoming', 'ended', 'calls'];

/** The question in the query of an address; whatever it does not say, or says wrong, is as at the beginning. */
export function questionOf(search: string): Question {
  const parameters = new URLSearchParams(search);
  const show = SHOWS.find((name) => name === parameters.get('show')) ?? 'live';
  const query = Array.from(parameters.get('q') ?? '')
    .slice(0, MAX_QUERY)
    .join('');
  return { show, query };
}

/** The address of Home with a question. */
export function addressOf({ show, query }: Question): string {
  const parameters = new URLSearchParams();
  if (show !== 'live') parameters.set('show', show);
  if (query.trim() !== '') parameters.set('q', query.trim());
  const text = parameters.toString();
  return text === '' ? '/' : `/?${text}`;
}
