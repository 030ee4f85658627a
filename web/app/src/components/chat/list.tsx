import {
  type KeyboardEvent,
  type ReactNode,
  type SyntheticEvent,
  useCallback,
  useEffect,
  useId,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from 'react';
import { useStoreValue } from '@madang/react';
import type { ChatLine, RoomChat } from '@madang/sdk';
import { useStore } from 'zustand';
import { rowsOf } from '../../lib/chat-rows';
import { dayWords } from '../../lib/format';
import type { ReadMark } from '../../lib/read-mark';
import { t } from '../../texts';
import { useChat, useChatStatus } from './context';
import { GapLine, Line, PendingLine } from './line';
import { Announcer } from './announcer';

/** How near its end a scrolled list counts as being at its end, in pixels. */
const END_PX = 60;
/** So near its beginning older messages are fetched. */
const NEAR_PX = 400;
/** So many rows are drawn while the newest ones are looked at; whoever reads further up gets all of them. */
const ROWS_AT_END = 120;
/** A message that was jumped to is marked for so long. */
const MARK_MS = 2_000;

/** The messages of a chat. */
export function ChatList(): ReactNode {
  const { chat, desk, me, connection, say } = useChat();
  const lines = useStoreValue(chat.lines);
  const pending = useStoreValue(chat.pending);
  const busy = useChatStatus((status) => status.busy !== null);
  const divider = useStore(desk.mark.store, (state) => state.divider);
  const unread = useStore(desk.mark.store, (state) => state.unread);
  const [behind, setBehind] = useState(false);
  const [active, setActive] = useState<number | null>(null);
  const [jumped, setJumped] = useState<number | null>(null);
  const list = useRef<HTMLDivElement>(null);
  const view = useRef<ListView>(null);
  const help = useId();
  const rows = useMemo(() => rowsOf(shownGaps(lines, busy), divider), [lines, busy, divider]);
  // What is new since the person was here is drawn, however far up it begins.
  const mark = rows.findIndex(({ kind }) => kind === 'new');
  const from = Math.max(0, rows.length - ROWS_AT_END);
  const drawn = behind ? rows : rows.slice(mark < 0 ? from : Math.min(mark, from));

  const onScroll = (): void => {
    view.current?.read();
    const { more, state } = chat.past.get();
    const top = list.current?.scrollTop ?? Infinity;
    if (top < NEAR_PX && more && state === 'idle' && view.current?.following === false) void chat.older();
  };
  useLayoutEffect(() => {
    if (list.current === null) return;
    view.current = new ListView(list.current, chat, desk.mark, setBehind);
    return () => {
      view.current = null;
      chat.read(null);
    };
  }, [chat, desk]);
  useLayoutEffect(() => {
    view.current?.meet(divider);
    view.current?.settle();
    view.current?.read();
  }, [rows, pending, behind, divider]);
  useEffect(() => {
    const visible = (): void => {
      desk.mark.watch(document.visibilityState === 'visible');
      // Where something came meanwhile the list goes there first, when it is drawn with the mark.
      if (desk.mark.store.getState().divider === null) view.current?.read();
    };
    visible();
    const moved = (): void => view.current?.read();
    document.addEventListener('visibilitychange', visible);
    // The list may come into view because the page was scrolled, and change its size because the window did.
    document.addEventListener('scroll', moved, { passive: true });
    const observer = new ResizeObserver(() => {
      view.current?.settle();
      view.current?.read();
    });
    if (list.current !== null) observer.observe(list.current);
    return () => {
      document.removeEventListener('visibilitychange', visible);
      document.removeEventListener('scroll', moved);
      observer.disconnect();
      desk.mark.watch(false);
    };
  }, [desk]);
  useEffect(() => {
    if (jumped === null) return;
    const timer = setTimeout(() => setJumped(null), MARK_MS);
    return () => clearTimeout(timer);
  }, [jumped]);

  const onJump = useCallback(
    (seq: number): void => {
      void chat.find(seq).then((found) => {
        if (!found) say(t.chatQuoteGone);
        else {
          // What was found stands in the list when the page is drawn next.
          requestAnimationFrame(() => {
            view.current?.show(seq);
            setJumped(seq);
          });
        }
      });
    },
    [chat, say],
  );
  const toEnd = (): void => {
    view.current?.toEnd();
    view.current?.read();
  };
  const point = (event: SyntheticEvent): void => {
    const seq = seqOf(event.target);
    if (seq !== null && seq !== active) setActive(seq);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-seq]') : null;
    const isOnRow = row === event.target;
    const isOnList = event.target === list.current;
    if (by !== undefined && (isOnRow || isOnList)) {
      event.preventDefault();
      const next = view.current?.next(seqOf(row), by);
      next?.focus();
    } else if (event.key === 'Enter' && isOnRow) {
      event.preventDefault();
      row.querySelector<HTMLElement>('.chat-actions button')?.focus();
    } else if (event.key === 'Escape' && row !== null) {
      event.preventDefault();
      event.stopPropagation();
      if (isOnRow) list.current?.focus();
      else row.focus();
    }
  };
  const isEmpty = lines.length === 0 && pending.length === 0;
  return (
    <div className="chat-body">
      {isEmpty && connection === 'connected' ? <p className="chat-empty">{t.chatEmpty}</p> : null}
      <p id={help} className="visually-hidden">
        {t.chatHelp}
      </p>
      <div
        className="chat-lines"
        ref={list}
        onScroll={onScroll}
        role="log"
        aria-live="off"
        aria-label={t.chat}
        aria-describedby={help}
        tabIndex={0}
        onKeyDown={onKeyDown}
        onPointerLeave={() => setActive(null)}
        data-testid="chat-lines"
      >
        <Past />
        <ol onPointerOver={point} onFocus={point} onClick={point}>
          {drawn.map((row) => {
            switch (row.kind) {
              case 'day':
                return (
                  <li key={row.key} className="chat-day">
                    <time dateTime={new Date(row.at).toISOString()}>{dayWords(row.at)}</time>
                  </li>
                );
              case 'new':
                return (
                  <li key={row.key} className="chat-new" data-testid="chat-new">
                    {t.chatNew}
                  </li>
                );
              case 'gap':
                return <GapLine key={row.key} gap={row.gap} />;
              default:
                return (
                  <Line
                    key={row.key}
                    message={row.message}
                    goesOn={row.goesOn}
                    mine={me !== null && row.message.from === me}
                    active={active === row.message.seq}
                    marked={jumped === row.message.seq}
                    onJump={onJump}
                  />
                );
            }
          })}
          {pending.map((message) => (
            <PendingLine key={message.id} message={message} />
          ))}
        </ol>
      </div>
      {behind ? (
        <button
          type="button"
          className="chat-newer"
          data-unread={unread > 0}
          onClick={toEnd}
          data-testid="chat-newer"
        >
          {unread > 0 ? t.chatNewCount(unread) : t.chatToEnd}
        </button>
      ) : null}
      <Announcer />
    </div>
  );
}

/** What is above the oldest message. */
function Past(): ReactNode {
  const { chat, connection } = useChat();
  const { more, state } = useStoreValue(chat.past);
  const isEmpty = useStoreValue(chat.lines, ({ length }) => length === 0);
  const open = useChatStatus((status) => status.open);
  if (isEmpty && !(more && open)) return null;
  if (state === 'loading') {
    return (
      <p className="chat-past" data-testid="chat-past" data-state="loading">
        <span className="spinner small" /> {t.chatOlderLoading}
      </p>
    );
  }
  if (!more) return isEmpty ? null : <p className="chat-past">{t.chatBeginning}</p>;
  if (connection !== 'connected' || !open) return null;
  return (
    <p className="chat-past" data-testid="chat-past" data-state={state}>
      {state === 'failed' ? <span role="alert">{t.chatOlderFailed} </span> : null}
      <button type="button" className="chat-small" onClick={() => void chat.older()} data-testid="chat-older">
        {state === 'failed' ? t.retry : t.chatOlder}
      </button>
    </p>
  );
}

/** While a busy time lasts, its gap would stand below everything and change all the time; it is said above. */
function shownGaps(lines: readonly ChatLine[], busy: boolean): readonly ChatLine[] {
  const last = lines.findLastIndex(({ type }) => type === 'gap');
  const line = lines[last];
  if (!busy || line?.type !== 'gap' || line.why !== 'busy') return lines;
  return lines.filter((_, index) => index !== last);
}

function seqOf(target: EventTarget | null): number | null {
  const row = target instanceof Element ? target.closest('[data-seq]') : null;
  const seq = Number(row?.getAttribute('data-seq') ?? NaN);
  return Number.isNaN(seq) ? null : seq;
}

/** Where the list stands: at its end, or at a message that stays where it is, whatever comes above or below. */
class ListView {
  following = true;
  private met: number | null = null;
  private anchor: { seq: number; top: number } | null = null;

  constructor(
    private readonly list: HTMLElement,
    private readonly chat: Pick<RoomChat, 'read'>,
    private readonly mark: ReadMark,
    private readonly behind: (is: boolean) => void,
  ) {}

  /** Goes to the mark of what is new, once, where that does not fit into the view with the end. */
  meet(divider: number | null): void {
    const { list, met } = this;
    if (divider === met) return;
    this.met = divider;
    const mark = list.querySelector<HTMLElement>('[data-testid="chat-new"]');
    if (mark === null || list.scrollHeight - mark.offsetTop <= list.clientHeight) return;
    this.following = false;
    this.anchor = null;
    list.scrollTop = mark.offsetTop;
  }

  /** Takes note of what is in view now, if somebody looks. */
  read(): void {
    const { atEnd, top, seen } = this.look();
    if (seen !== null && this.mark.store.getState().watched) this.mark.see(seen);
    this.behind(!atEnd);
    this.chat.read(atEnd ? null : top);
  }

  /** The list has changed: puts it back where it stood. */
  settle(): void {
    const { list, anchor } = this;
    if (this.following) {
      list.scrollTop = list.scrollHeight;
      return;
    }
    const row = anchor === null ? null : this.row(anchor.seq);
    if (anchor === null || row === null) return;
    const moved = row.offsetTop - list.scrollTop - anchor.top;
    if (Math.abs(moved) >= 1) list.scrollTop += moved;
  }

  toEnd(): void {
    this.following = true;
    this.list.scrollTop = this.list.scrollHeight;
  }

  show(seq: number): void {
    const row = this.row(seq);
    if (row === null) return;
    this.following = false;
    this.list.scrollTop = row.offsetTop - this.list.clientHeight / 3;
    row.focus({ preventScroll: true });
  }

  /** The row that many further, where the focus is to go. */
  next(seq: number | null, by: number): HTMLElement | null {
    const rows = this.rows();
    const at = seq === null ? -1 : rows.findIndex((row) => seqOf(row) === seq);
    if (at < 0) return rows.at(-1) ?? null;
    return rows[at + by] ?? null;
  }

  /** What is in view: the first message, and the last one that a person can see whole now. */
  private look(): { atEnd: boolean; top: number | null; seen: number | null } {
    const { list } = this;
    const { scrollTop, clientHeight, scrollHeight } = list;
    this.following = scrollHeight - scrollTop - clientHeight < END_PX;
    const rows = this.rows();
    const top = rows[firstBelow(rows, scrollTop)] ?? null;
    const seq = seqOf(top);
    this.anchor = top === null || seq === null ? null : { seq, top: top.offsetTop - scrollTop };
    const isHidden = document.visibilityState !== 'visible';
    const box = list.getBoundingClientRect();
    const bottom = Math.min(box.bottom, innerHeight) - box.top;
    if (isHidden || bottom <= 0 || box.bottom <= 0) return { atEnd: this.following, top: seq, seen: null };
    // The first that ends below what can be seen; the one before it was seen. A tall one counts by its beginning.
    const last = rows[firstBelow(rows, scrollTop + bottom + 1) - 1];
    return { atEnd: this.following, top: seq, seen: seqOf(last ?? null) };
  }

  private rows(): HTMLElement[] {
    return [...this.list.querySelectorAll<HTMLElement>('[data-seq]')];
  }

  private row(seq: number): HTMLElement | null {
    return this.list.querySelector<HTMLElement>(`[data-seq="${seq}"]`);
  }
}

/** The first row of which some is below this height. */
function firstBelow(rows: readonly HTMLElement[], height: number): number {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const row = rows[middle];
    if (row !== undefined && row.offsetTop + row.offsetHeight <= height) low = middle + 1;
    else high = middle;
  }
  return low;
}
