import { Component, lazy, type ReactNode, Suspense } from 'react';
import type { RoomLink } from '@madang/sdk';
import { t } from '../../texts';
import { CloseIcon } from '../icons';

/** The whiteboard with its libraries is loaded when somebody opens one. */
const Panel = lazy(async () => ({ default: (await import('./panel')).BoardPanel }));

export interface BoardProps {
  /** By which the board is reached. */
  link: RoomLink;
  onClose: () => void;
}

/** A room's whiteboard, as large as what it is in. */
export function Board(props: BoardProps): ReactNode {
  return (
    <section className="board" aria-label={t.board} data-testid="board">
      <Failing onClose={props.onClose}>
        <Suspense fallback={<Waiting />}>
          <Panel {...props} />
        </Suspense>
      </Failing>
    </section>
  );
}

function Waiting(): ReactNode {
  return (
    <div className="board-cover" role="status">
      <span className="spinner" aria-hidden="true" />
      {t.boardLoading}
    </div>
  );
}

/** What a page says whose board could not be loaded: the call around it goes on. */
class Failing extends Component<{ children: ReactNode; onClose: () => void }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }

  override render(): ReactNode {
    if (!this.state.failed) return this.props.children;
    return (
      <div className="board-cover" role="alert" data-testid="board-failed">
        <p>{t.boardFailed}</p>
        <button type="button" className="button" onClick={this.props.onClose}>
          <CloseIcon />
          {t.boardClose}
        </button>
      </div>
    );
  }
}
