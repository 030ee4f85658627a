import { type SubmitEvent, type ReactNode, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { MAX_CHAT_CHARS, MAX_NAME_CHARS } from '@madang/sdk';
import { clockTime } from '../lib/format';
import { keptName } from '../lib/storage';
import { refusalWords } from '../lib/words';
import { type ChatLine, sendChat, useRoom } from '../store/room';
import { t } from '../texts';
import { SendIcon } from './icons';

/** How near its end a scrolled list counts as being at its end, in pixels. */
const END_PX = 60;

/** What signaling calls people without a name. */
const NAMELESS = 'guest';

/** The chat of the room on the page. */
export function Chat({ own, closed }: { own: string | null; closed: boolean }): ReactNode {
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
          <Composer enabled={connection === 'connected'} />
        </>
      )}
    </section>
  );
}

function Lines({ own }: { own: string | null }): ReactNode {
  const lines = useRoom((state) => state.lines);
  const list = useRef<HTMLDivElement>(null);
  const [behind, setBehind] = useState(false);
  const following = useRef(true);
  const toEnd = (): void => list.current?.scrollTo({ top: list.current.scrollHeight });
  useLayoutEffect(() => {
    if (following.current) toEnd();
    else setBehind(true);
  }, [lines]);
  const onScroll = (): void => {
    const element = list.current;
    if (element === null) return;
    following.current = element.scrollHeight - element.scrollTop - element.clientHeight < END_PX;
    if (following.current) setBehind(false);
  };
  return (
    <div className="chat-body">
      {lines.length === 0 ? <p className="chat-empty">{t.chatEmpty}</p> : null}
      <div className="chat-lines" ref={list} onScroll={onScroll} role="log" aria-label={t.chat} tabIndex={0}>
        <ol>
          {lines.map((line) => (
            <Line
              key={`${line.type}-${line.seq}-${line.type === 'message' ? line.at : line.dropped}`}
              line={line}
              own={own}
            />
          ))}
        </ol>
      </div>
      {behind ? (
        <button type="button" className="chat-newer" onClick={toEnd}>
          {t.chatNewMessages}
        </button>
      ) : null}
    </div>
  );
}

function Line({ line, own }: { line: ChatLine; own: string | null }): ReactNode {
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
}

function Composer({ enabled }: { enabled: boolean }): ReactNode {
  const [text, setText] = useState('');
  const [name, setName] = useState(keptName.read);
  const refused = useRoom((state) => state.refused);
  const sending = useRoom((state) => state.sending);
  useEffect(() => keptName.write(name), [name]);
  const length = Array.from(text).length;
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const trimmed = text.trim();
    if (trimmed === '' || length > MAX_CHAT_CHARS) return;
    // The text stays where it is until the server has it.
    void sendChat(trimmed, name.trim()).then((sent) => sent && setText(''));
  };
  return (
    <form className="composer" onSubmit={submit}>
      {refused === null ? null : (
        <p className="chat-status" role="alert" data-testid="chat-refused">
          {refusalWords(refused)}
        </p>
      )}
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
      <div className="composer-row">
        <input
          className="input"
          value={text}
          maxLength={MAX_CHAT_CHARS}
          readOnly={sending}
          aria-busy={sending}
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
          disabled={!enabled || sending || text.trim() === ''}
          aria-label={t.chatSend}
          data-testid="chat-send"
        >
          <SendIcon />
        </button>
      </div>
    </form>
  );
}
