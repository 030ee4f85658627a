import { type ReactNode, useEffect, useState } from 'react';
import { useStoreValue } from '@madang/react';
import type { Surface } from '@madang/board';
import { t } from '../../texts';

/** What is not acknowledged within this time is said: before it would only flicker. */
const SLOW_MS = 1_500;

/** How the board stands, where that is not as it should be. */
export function BoardStanding({ surface }: { surface: Surface }): ReactNode {
  const { phase, unsent, mayDraw, nearlyFull, full, why } = useStoreValue(surface.board.state);
  const uploading = useStoreValue(surface.uploading);
  const slow = useSlow(phase === 'ready' && unsent > 0);
  if (phase === 'loading') {
    return (
      <div className="board-cover" role="status" data-testid="board-loading">
        <span className="spinner" aria-hidden="true" />
        {t.boardLoading}
      </div>
    );
  }
  if (phase === 'refused') {
    return (
      <div className="board-cover" role="alert" data-testid="board-refused">
        <strong>{t.boardRefused}</strong>
        {why === null ? null : <p>{why}</p>}
      </div>
    );
  }
  const words: { key: string; tone: 'warn' | 'plain'; text: ReactNode }[] = [];
  if (phase === 'offline') {
    const hint = mayDraw ? t.boardOfflineHint : '';
    const text = (
      <>
        <strong>{t.boardOffline}</strong> {unsent > 0 ? t.boardWaiting(unsent) : hint}
      </>
    );
    words.push({ key: 'offline', tone: 'warn', text });
  } else if (slow) words.push({ key: 'saving', tone: 'plain', text: t.boardSaving(unsent) });
  if (full) words.push({ key: 'full', tone: 'warn', text: t.boardFull });
  else if (nearlyFull) words.push({ key: 'nearly-full', tone: 'warn', text: t.boardNearlyFull });
  if (!mayDraw) words.push({ key: 'may-not', tone: 'plain', text: t.boardMayNot });
  if (uploading > 0) words.push({ key: 'uploading', tone: 'plain', text: t.boardUploading });
  return (
    <div className="board-standing" role="status" data-testid="board-standing">
      {words.map(({ key, tone, text }) => (
        <p key={key} data-tone={tone} data-key={key}>
          {text}
        </p>
      ))}
    </div>
  );
}

/** True when something has been so for a while. */
function useSlow(is: boolean): boolean {
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    if (!is) return;
    const timer = setTimeout(() => setSlow(true), SLOW_MS);
    return () => {
      clearTimeout(timer);
      setSlow(false);
    };
  }, [is]);
  return is && slow;
}
