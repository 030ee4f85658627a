import type { ReactNode } from 'react';
import { type Action, KEYS } from '@madang/board';
import { t } from '../../texts';
import { Dialog } from '../dialog';
import { TOOLS } from './tools';

const MEANING: Readonly<Partial<Record<Action, string>>> = {
  ...Object.fromEntries(TOOLS.map(({ tool, label }) => [`tool ${tool}`, label])),
  undo: t.boardUndo,
  redo: t.boardRedo,
  copy: t.boardKeyCopy,
  cut: t.boardKeyCut,
  paste: t.boardKeyPaste,
  duplicate: t.boardDuplicate,
  delete: t.boardDelete,
  'select all': t.boardKeyAll,
  'select next': t.boardKeyNext,
  'select previous': t.boardKeyPrevious,
  deselect: t.boardKeyEscape,
  edit: t.boardKeyEnter,
  group: t.boardGroup,
  ungroup: t.boardUngroup,
  lock: t.boardLock,
  front: t.boardFront,
  forward: t.boardForward,
  backward: t.boardBackward,
  back: t.boardBack,
  left: t.boardKeyArrows,
  'zoom in': t.boardZoomIn,
  'zoom out': t.boardZoomOut,
  'zoom 100': '100 %',
  fit: t.boardFit,
  grid: t.boardGrid,
  'next page': t.boardKeyNextPage,
  'previous page': t.boardKeyPreviousPage,
  help: t.roomKeyHelp,
};

/** All keys of the board. */
export function BoardKeys({ onClose }: { onClose: () => void }): ReactNode {
  const rows = KEYS.flatMap(({ action, shown }): [string, string][] => {
    const meaning = MEANING[action];
    if (meaning === undefined) return [];
    return [[action === 'left' ? '← ↑ → ↓' : shown, meaning]];
  });
  return (
    <Dialog className="call-dialog" title={t.boardKeys} onClose={onClose} testId="board-key-list">
      <dl className="call-keys">
        {[[t.roomKeySpace, t.boardKeySpace] as const, ...rows].map(([key, meaning]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
