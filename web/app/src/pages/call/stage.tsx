import {
  type ComponentProps,
  type ReactNode,
  type RefCallback,
  useCallback,
  useEffect,
  useMemo,
  useRef,
  useState,
} from 'react';
import { usePeople, usePerson, useRoom, useRoomState, useSpeaker, useSpeaks, useTiles } from '@madang/react';
import { Board } from '../../components/board/board';
import { BackIcon, ForwardIcon } from '../../components/call-icons';
import { MicIcon } from '../../components/icons';
import { Invite } from '../../components/invite';
import { t } from '../../texts';
import type { Rect, Size } from './layout';
import { type Means, type Placed, type Seat, sceneOf } from './scene';
import { CallTile } from './tile';
import { useUi, useUiState } from './ui';

/** Everybody's pictures, in their places. */
export function CallStage({ means }: { means: Means }): ReactNode {
  const [size, measure] = useSize();
  const swipe = useSwipe();
  return (
    <section
      {...swipe}
      className="call-stage"
      ref={measure}
      aria-label={t.roomStage}
      tabIndex={-1}
      data-testid="call-stage"
    >
      {size === null ? null : <Pictures means={means} size={size} />}
    </section>
  );
}

function Pictures({ means, size }: { means: Means; size: Size }): ReactNode {
  const seats = useSeats();
  const me = useRoomState(({ participant }) => participant);
  const view = useUiState((state) => state.view);
  const pin = useUiState((state) => state.pin);
  const away = useUiState((state) => state.away);
  const selfView = useUiState((state) => state.selfView);
  const board = useUiState((state) => state.board);
  const wanted = useUiState((state) => state.page);
  const scene = useMemo(
    () => sceneOf(seats, me, { view, pin, away, selfView, board }, means, size),
    [seats, me, view, pin, away, selfView, board, means, size],
  );
  const { tiles, page, pages } = useTiles({
    page: wanted,
    size: Math.max(1, scene.places.length),
    without: scene.without,
    screens: true,
  });
  const small = tiles.flatMap(({ key, participant, source }, index): Placed[] => {
    const rect = scene.places[index];
    return rect === undefined ? [] : [{ key, picture: { participant, source }, role: 'tile', rect }];
  });
  const placed = [...scene.main, ...small, ...(scene.corner === null ? [] : [scene.corner])];
  const shown = new Set(placed.map(({ key }) => key));
  return (
    <>
      <ul className="call-tiles" data-mode={scene.mode} data-testid="call-grid">
        {placed.map(({ key, picture, role, rect }) => (
          <CallTile key={key} picture={picture} role={role} rect={rect} />
        ))}
      </ul>
      {scene.board === null ? null : <BoardPlace rect={scene.board} />}
      {seats.length === 1 && me !== null && scene.board === null ? <Alone /> : null}
      <Pager page={page} pages={pages} />
      {shown.has('speaker') ? null : <Unseen shown={shown} me={me} />}
    </>
  );
}

function BoardPlace({ rect }: { rect: Rect }): ReactNode {
  const ui = useUi();
  const { link } = useRoom();
  const { x, y, width, height } = rect;
  return (
    <div className="call-board" style={{ left: x, top: y, width, height }}>
      <Board link={link} onClose={() => ui.set({ board: false })} />
    </div>
  );
}

/** Who has a place, as values that change with nothing else. */
function useSeats(): Seat[] {
  const seats = usePeople((people) =>
    [...people.values()].map(({ participant, sources }) => {
      const shares = sources.some(({ source, state }) => source === 'screen' && state === 'on');
      return `${participant}${shares ? ' shares' : ''}`;
    }),
  );
  return useMemo(
    () =>
      seats.map((seat): Seat => {
        const [participant = '', shares] = seat.split(' ');
        return { participant, shares: shares !== undefined };
      }),
    [seats],
  );
}

function Pager({ page, pages }: { page: number; pages: number }): ReactNode {
  const ui = useUi();
  // Keys and fingers turn pages, too.
  useEffect(() => ui.paged(page, pages), [ui, page, pages]);
  if (pages === 1) return null;
  const turn = (by: number, label: string, Icon: () => ReactNode, testId: string): ReactNode => (
    <button
      type="button"
      className="call-turn over-video"
      data-by={by}
      aria-label={label}
      title={label}
      disabled={page + by < 0 || page + by >= pages}
      onClick={() => ui.turn(by)}
      data-testid={testId}
    >
      <Icon />
    </button>
  );
  return (
    <div className="call-pager" role="group" aria-label={t.roomPage(page + 1, pages)}>
      {turn(-1, t.roomPreviousPage, BackIcon, 'call-previous')}
      <span className="chip over-video" aria-live="polite" data-testid="call-page">
        <span className="visually-hidden">{t.roomPage(page + 1, pages)}</span>
        <span aria-hidden="true">
          {page + 1} / {pages}
        </span>
      </span>
      {turn(1, t.roomNextPage, ForwardIcon, 'call-next')}
    </div>
  );
}

/** Who speaks and is not to be seen. */
function Unseen({ shown, me }: { shown: ReadonlySet<string>; me: string | null }): ReactNode {
  const speaker = useSpeaker();
  if (speaker === null || speaker === me || shown.has(`camera ${speaker}`)) return null;
  return <UnseenSpeaker participant={speaker} />;
}

function UnseenSpeaker({ participant }: { participant: string }): ReactNode {
  const ui = useUi();
  const name = usePerson(participant, (person) => person?.name ?? '');
  const speaks = useSpeaks(participant);
  const shown = name === '' ? t.roomGuest : name;
  if (!speaks) return null;
  return (
    <button
      type="button"
      className="call-unseen chip over-video"
      aria-label={t.roomSpeaksGo(shown)}
      // The first page has whoever speaks mainly.
      onClick={() => ui.set({ page: 0 })}
      data-testid="call-unseen"
    >
      <MicIcon />
      {t.roomSpeaks(shown)}
    </button>
  );
}

/** What to do while nobody else is there. */
function Alone(): ReactNode {
  const { group } = useRoom();
  return (
    <div className="call-alone" data-testid="call-alone">
      <strong role="status">{t.roomAloneTitle}</strong>
      <span>{t.roomAloneHint}</span>
      <Invite url={`${location.origin}/call/${group}`} title={t.callTitle} />
    </div>
  );
}

/** A finger moves this far to turn a page, and more along the lines than across them. */
const SWIPE_PX = 48;

/** Fingers turn pages; what a finger means that only touches is up to the picture under it. */
function useSwipe(): Pick<ComponentProps<'section'>, 'onPointerDown' | 'onPointerUpCapture'> {
  const ui = useUi();
  const from = useRef<{ id: number; x: number; y: number } | null>(null);
  return {
    onPointerDown: ({ pointerType, pointerId, clientX, clientY, isPrimary, target }) => {
      // On the whiteboard fingers draw.
      const isBoard = target instanceof Element && target.closest('.board') !== null;
      from.current =
        pointerType === 'touch' && isPrimary && !isBoard ? { id: pointerId, x: clientX, y: clientY } : null;
    },
    onPointerUpCapture: (event) => {
      const start = from.current;
      from.current = null;
      if (start?.id !== event.pointerId) return;
      const [x, y] = [event.clientX - start.x, event.clientY - start.y];
      if (Math.abs(x) < SWIPE_PX || Math.abs(x) < 2 * Math.abs(y)) return;
      event.stopPropagation();
      ui.turn(x < 0 ? 1 : -1);
    },
  };
}

/** The size of an element, in whole pixels; null before it is known. */
function useSize(): [Size | null, RefCallback<HTMLElement>] {
  const [size, setSize] = useState<Size | null>(null);
  const ref = useCallback((element: HTMLElement) => {
    const observer = new ResizeObserver(([entry]) => {
      if (entry === undefined) return;
      const width = Math.floor(entry.contentRect.width);
      const height = Math.floor(entry.contentRect.height);
      setSize((before) => (before?.width === width && before.height === height ? before : { width, height }));
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [size, ref];
}
