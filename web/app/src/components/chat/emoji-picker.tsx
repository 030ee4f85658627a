import { type KeyboardEvent, type ReactNode, useRef, useState } from 'react';
import { t } from '../../texts';
import { findEmoji } from './emoji-list';

const MAX_QUERY_CHARS = 32;

/** A grid of emoji with a search; loaded when it is opened. */
export default function EmojiPicker(props: {
  onPick: (emoji: string) => void;
  onClose: () => void;
}): ReactNode {
  const { onPick, onClose } = props;
  const [query, setQuery] = useState('');
  const [at, setAt] = useState(0);
  const grid = useRef<HTMLDivElement>(null);
  const found = findEmoji(query);
  const move = (event: KeyboardEvent): void => {
    const signs = [...(grid.current?.querySelectorAll<HTMLElement>('button') ?? [])];
    const top = signs[0]?.offsetTop;
    const found = signs.findIndex((sign) => sign.offsetTop !== top);
    const across = found < 0 ? signs.length : found;
    const now = signs.findIndex((sign) => sign === document.activeElement);
    const to = {
      ArrowRight: now + 1,
      ArrowLeft: now - 1,
      ArrowDown: now + across,
      ArrowUp: now - across,
      Home: 0,
      End: signs.length - 1,
    }[event.key];
    const next = to === undefined ? undefined : signs[to];
    if (next === undefined) return;
    event.preventDefault();
    next.focus();
    setAt(to ?? 0);
  };
  return (
    <div
      className="emoji"
      role="dialog"
      aria-label={t.emoji}
      onKeyDown={(event) => {
        if (event.key !== 'Escape') return;
        event.preventDefault();
        event.stopPropagation();
        onClose();
      }}
      data-testid="emoji"
    >
      <input
        type="search"
        className="input"
        value={query}
        maxLength={MAX_QUERY_CHARS}
        placeholder={t.emojiSearch}
        aria-label={t.emojiSearch}
        autoFocus
        onChange={(event) => {
          setQuery(event.target.value);
          setAt(0);
        }}
        onKeyDown={(event) => {
          if (event.nativeEvent.isComposing) return;
          if (event.key === 'Enter') {
            // It is inside the form of the message, which is not to be sent by it.
            event.preventDefault();
            const [first] = found;
            if (first !== undefined && query.trim() !== '') onPick(first.sign);
          } else if (event.key === 'ArrowDown') {
            event.preventDefault();
            grid.current?.querySelector<HTMLElement>('button')?.focus();
          }
        }}
        data-testid="emoji-search"
      />
      {found.length === 0 ? <p className="quiet">{t.emojiNone}</p> : null}
      <div className="emoji-grid" role="group" aria-label={t.emoji} ref={grid} onKeyDown={move}>
        {found.map(({ sign, words }, index) => (
          <button
            key={sign}
            type="button"
            tabIndex={index === at ? 0 : -1}
            aria-label={`${sign} ${words}`}
            title={words}
            onClick={() => onPick(sign)}
          >
            {sign}
          </button>
        ))}
      </div>
    </div>
  );
}
