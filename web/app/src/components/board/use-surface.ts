import { type RefObject, useEffect, useEffectEvent, useRef, useState } from 'react';
import { useMedia } from '@madang/react';
import { type Board, type Notice, Surface } from '@madang/board';
import { t } from '../../texts';

const WORDS = {
  board: t.boardSurface,
  field: t.boardField,
  resize: t.boardHandleSize,
  turn: t.boardHandleTurn,
  end: (end: 0 | 1) => (end === 0 ? t.boardHandleStart : t.boardHandleEnd),
};

/** The drawing surface of a board in an element; null before it is there. */
export function useSurface(
  connect: () => Board,
  notice: (notice: Notice) => void,
  help: () => void,
): [Surface | null, RefObject<HTMLDivElement | null>] {
  const host = useRef<HTMLDivElement>(null);
  const [surface, setSurface] = useState<Surface | null>(null);
  const dark = useMedia('(prefers-color-scheme: dark)');
  const theme = dark ? 'dark' : 'light';
  const told = useEffectEvent(notice);
  const helped = useEffectEvent(help);
  const opened = useEffectEvent((element: HTMLDivElement): [Surface, Board] => {
    const board = connect();
    const options = { theme, words: WORDS, notice: told, help: helped } as const;
    return [new Surface(element, board, options), board];
  });
  useEffect(() => {
    if (host.current === null) return;
    const [made, board] = opened(host.current);
    setSurface(made);
    made.focus();
    return () => {
      made.close();
      board.close();
      setSurface(null);
    };
  }, []);
  useEffect(() => surface?.setTheme(theme), [surface, theme]);
  return [surface, host];
}
