import { memo, type SubmitEvent, type ReactNode, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { type ChatLine, MAX_CHAT_CHARS, MAX_NAME_CHARS, MAX_PENDING, type Pending } from '@madang/sdk';
import { clockTime } from '../lib/format';
import { keptName } from '../lib/storage';
import { refusalWords } from '../lib/words';
import { useRoom, useRoomInstance } from '../store/room';
import { t } from '../texts';
import { CloseIcon, SendIcon } from './icons';

/** How near its end a scrolled list counts as being at its end, in pixels. */
const END_PX = 60;

/** What signaling calls people without a name. */
const NAMELESS = 'guest';

/** The chat of a room. */
export function Chat(props: {
  own: string | null;
  closed: boolean;
  /** This person may read only. */
  silenced?: boolean;
  /** The name is known: it is not asked for. */
  named?: boolean;
  onClose?: () => void;
}): ReactNode {
  const { own, closed, silenced = false, named = false, onClose } = props;
  const connection = useRoom((state) => state.connection);
  const chatting = useRoom((state) => state.chatting);
  const status = connection === 'connecting' ? t.chatConnecting : t.chatOffline;
  return (
    <section
      className="chat panel"
      aria-labelledby="chat-title"
      data-testid="chat"
      data-connection={connection}
    >
      <header className="panel-header">
        <h2 id="chat-title">{t.chat}</h2>
        {chatting === null || closed ? null : <span className="quiet small">{t.chatting(chatting)}</span>}
        {onClose === undefined ? null : (
          <button
            type="button"
            className="icon-button"
            onClick={onClose}
            aria-label={t.close}
            data-testid="chat-close"
          >
            <CloseIcon />
          </button>
        )}
      </header>
      <Lines own={own} />
      {closed ? (
        <p className="chat-status">{t.chatEnded}</p>
      ) : (
        <>
          {connection === 'connected' ? null : (
            <p className="chat-status" role="status">
              <span className="spinner small" />
              {status}
            </p>
          )}
          {silenced ? (
            <p className="chat-status chat-silenced" role="status" data-testid="chat-silenced">
              {t.chatSilenced}
            </p>
          ) : (
            <Composer named={named} />
          )}
        </>
      )}
    </section>
  );
}

function Lines({ own }: { own: string | null }): ReactNode {
  const lines = useRoom((state) => state.lines);
  const pending = useRoom((state) => state.pending);
  const list = useRef<HTMLDivElement>(null);
  const [behind, setBehind] = useState(false);
  const following = useRef(true);
  const toEnd = (): void => list.current?.scrollTo({ top: list.current.scrollHeight });
  // Lines that are there already change nothing: only what is new is announced.
  useLayoutEffect(() => {
    if (!following.current) setBehind(true);
  }, [lines]);
  useLayoutEffect(() => {
    if (following.current) toEnd();
  }, [lines, pending]);
  const onScroll = (): void => {
    const element = list.current;
    if (element === null) return;
    following.current = element.scrollHeight - element.scrollTop - element.clientHeight < END_PX;
    if (following.current) setBehind(false);
  };
  return (
    <div className="chat-body">
      {lines.length === 0 && pending.length === 0 ? <p className="chat-empty">{t.chatEmpty}</p> : null}
      <div className="chat-lines" ref={list} onScroll={onScroll} role="log" aria-label={t.chat} tabIndex={0}>
        <ol>
          {lines.map((line) => (
            <Line
              key={`${line.type}-${line.seq}-${line.type === 'message' ? line.at : line.dropped}`}
              line={line}
              own={own}
            />
          ))}
          {pending.map((message) => (
            <PendingLine key={message.id} message={message} />
          ))}
        </ol>
      </div>
      {behind ? (
        <button type="button" className="chat-newer" onClick={toEnd} data-testid="chat-newer">
          {t.chatNewMessages}
        </button>
      ) : null}
    </div>
  );
}

/** A line that is there is drawn once, however many come after it. */
const Line = memo(function Line({ line, own }: { line: ChatLine; own: string | null }): ReactNode {
  if (line.type === 'gap') return <li className="chat-gap">{t.chatGap(line.dropped)}</li>;
  const nameless = line.name === '' || line.name === NAMELESS;
  const mine = own !== null && line.from === own;
  return (
    <li className="chat-line" data-host={line.host} data-testid="chat-message">
      <span className="chat-meta">
        {nameless && line.host ? null : (
          <span className="chat-name">{nameless ? t.chatNamePlaceholder : line.name}</span>
        )}
        {line.host ? <span className="tag">{t.chatHost}</span> : null}
        {mine ? <span className="tag quiet-tag">{t.chatYou}</span> : null}
        <time dateTime={new Date(line.at).toISOString()}>{clockTime(line.at)}</time>
      </span>
      <span className="chat-text">{line.text}</span>
    </li>
  );
});

/** What was written here and is not in the room yet, and why. */
function PendingLine({ message }: { message: Pending }): ReactNode {
  const room = useRoomInstance();
  const connection = useRoom((state) => state.connection);
  const { id, state, text } = message;
  const refused = state.kind === 'refused';
  const waits = connection === 'connected' ? t.chatSending : t.chatKept;
  return (
    <li className="chat-line chat-pending" data-state={state.kind} data-testid="chat-pending">
      <span className="chat-text">{text}</span>
      <span className="chat-meta">
        {refused ? (
          <>
            <span role="alert" data-testid="chat-refused">
              {refusalWords(state.refusal)}
            </span>
            <button type="button" className="chat-drop" onClick={() => room.drop(id)}>
              {t.chatDrop}
            </button>
          </>
        ) : (
          <span>{waits}</span>
        )}
      </span>
    </li>
  );
}

function Composer({ named }: { named: boolean }): ReactNode {
  const [text, setText] = useState('');
  const [name, setName] = useState(keptName.read);
  const room = useRoomInstance();
  const full = useRoom((state) => state.pending.length >= MAX_PENDING);
  useEffect(() => {
    if (!named) keptName.write(name);
  }, [named, name]);
  const length = Array.from(text).length;
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const trimmed = text.trim();
    if (trimmed === '' || length > MAX_CHAT_CHARS) return;
    // What is not taken stays where it is.
    if (room.write(trimmed, name.trim())) setText('');
  };
  return (
    <form className="composer" onSubmit={submit}>
      {full ? (
        <p className="chat-status" role="alert">
          {t.chatFull}
        </p>
      ) : null}
      {named ? null : (
        <label className="composer-name">
          <span>{t.chatName}</span>
          <input
            value={name}
            maxLength={MAX_NAME_CHARS}
            placeholder={t.chatNamePlaceholder}
            autoComplete="nickname"
            onChange={(event) => setName(event.target.value)}
            data-testid="chat-name"
          />
        </label>
      )}
      <div className="composer-row">
        <input
          className="input"
          value={text}
          maxLength={MAX_CHAT_CHARS}
          placeholder={t.chatPlaceholder}
          aria-label={t.chatPlaceholder}
          autoComplete="off"
          enterKeyHint="send"
          onChange={(event) => setText(event.target.value)}
          data-testid="chat-input"
        />
        <button
          type="submit"
          className="icon-button accent"
          disabled={full || text.trim() === ''}
          aria-label={t.chatSend}
          data-testid="chat-send"
        >
          <SendIcon />
        </button>
      </div>
    </form>
  );
}
