import { type ReactNode, type SubmitEvent, useEffect, useRef, useState } from 'react';
import { addressOf, MAX_QUERY, questionOf } from '../lib/question';
import { navigate, replace, usePath } from '../lib/router';
import { t } from '../texts';
import { SearchIcon } from './icons';

/** Pause after typing before a search is made. */
const TYPING_MS = 250;

/** The search of the site. On Home it finds while somebody types; elsewhere it leads there. */
export function Search(): ReactNode {
  const path = usePath((state) => state.path);
  const search = usePath((state) => state.search);
  const isHome = path === '/';
  const { show, query } = questionOf(isHome ? search : '');
  const [text, setText] = useState(query);
  const [told, setTold] = useState(query);
  // The address has changed by itself: somebody went back, or chose all broadcasts.
  if (told !== query) {
    setTold(query);
    if (text.trim() !== query) setText(query);
  }
  const typing = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(typing.current), []);
  const find = (words: string): void => {
    clearTimeout(typing.current);
    const to = addressOf({ show, query: words });
    // One step back leads to where the search began, however many letters it had.
    if (isHome && query !== '' && words.trim() !== '') replace(to);
    else navigate(to);
  };
  const type = (words: string): void => {
    setText(words);
    clearTimeout(typing.current);
    if (isHome) typing.current = setTimeout(() => find(words), TYPING_MS);
  };
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    find(text);
  };
  return (
    <form className="search" role="search" onSubmit={submit}>
      <label>
        <SearchIcon />
        <span className="visually-hidden">{t.search}</span>
        <input
          type="search"
          value={text}
          maxLength={MAX_QUERY}
          placeholder={t.search}
          enterKeyHint="search"
          onChange={(event) => type(event.target.value)}
          data-testid="search"
        />
      </label>
    </form>
  );
}
