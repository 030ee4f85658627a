import { type ReactNode, useEffect, useRef, useState } from 'react';
import { useStoreValue } from '@madang/react';
import { connectBoard, type Notice, type Surface } from '@madang/board';
import { t } from '../../texts';
import { CloseIcon } from '../icons';
import type { BoardProps } from './board';
import { BoardHead } from './head';
import { BoardKeys } from './keys';
import { Looks } from './looks';
import { BoardStanding } from './standing';
import { ToolBar } from './tools';
import { useSurface } from './use-surface';

/** A word that passes is seen for so long. */
const WORD_MS = 5_000;
/** Who may what is known for sure so long after the board was ready. */
const SETTLED_MS = 1_000;

/** The whiteboard: the drawing, and around it what one draws with. */
export function BoardPanel({ link, onClose }: BoardProps): ReactNode {
  const [word, say] = useWord();
  const [keys, setKeys] = useState(false);
  const [surface, host] = useSurface(
    () => connectBoard(link),
    (notice) => say(noticeWords(notice)),
    () => setKeys(true),
  );
  const close = (): void => {
    setKeys(false);
    surface?.focus();
  };
  return (
    <>
      <div className="board-host" ref={host} data-testid="board-surface" />
      {surface === null ? null : <Around surface={surface} say={say} onKeys={() => setKeys(true)} />}
      <button
        type="button"
        className="board-button board-close"
        aria-label={t.boardClose}
        title={t.boardClose}
        onClick={onClose}
        data-testid="board-close"
      >
        <CloseIcon />
      </button>
      <p className="board-word" role="status" data-testid="board-word">
        {word === null ? null : <span>{word}</span>}
      </p>
      {keys ? <BoardKeys onClose={close} /> : null}
    </>
  );
}

function Around(props: { surface: Surface; say: (word: string) => void; onKeys: () => void }): ReactNode {
  const { surface, say, onKeys } = props;
  const { phase, mayDraw } = useStoreValue(surface.board.state);
  useRightsWord(surface, say);
  const isShown = phase === 'ready' || phase === 'offline';
  return (
    <>
      <BoardStanding surface={surface} />
      {isShown ? (
        <>
          <BoardHead surface={surface} say={say} onKeys={onKeys} />
          <div className="board-foot">
            {mayDraw ? <Looks surface={surface} /> : null}
            <ToolBar surface={surface} />
          </div>
        </>
      ) : null}
    </>
  );
}

function noticeWords(notice: Notice): string {
  switch (notice.kind) {
    case 'may-not':
      return t.boardMayNot;
    case 'full':
      return t.boardFull;
    case 'no-paste':
      return t.boardNoPaste;
    case 'image':
      return t.boardImageFailed(notice.words);
  }
}

function useWord(): [string | null, (word: string) => void] {
  const [word, setWord] = useState<string | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const say = (next: string): void => {
    clearTimeout(timer.current);
    setWord(next);
    timer.current = setTimeout(() => setWord(null), WORD_MS);
  };
  return [word, say];
}

/** Says it when the right to draw is given or taken, and what became of what was not saved. */
function useRightsWord(surface: Surface, say: (word: string) => void): void {
  const said = useRef(say);
  useEffect(() => {
    said.current = say;
  });
  useEffect(() => {
    const { state } = surface.board;
    let { mayDraw } = state.get();
    let readyAt = Infinity;
    return state.subscribe(() => {
      const now = state.get();
      if (now.phase === 'ready') readyAt = Math.min(readyAt, performance.now());
      if (now.mayDraw === mayDraw) return;
      ({ mayDraw } = now);
      // How it is at first, as far as it comes in parts, is nobody's doing.
      if (performance.now() - readyAt < SETTLED_MS || readyAt === Infinity) return;
      if (now.mayDraw) said.current(t.boardGiven);
      else said.current(now.unsent > 0 ? t.boardTakenUnsent(now.unsent) : t.boardTaken);
    });
  }, [surface]);
}
