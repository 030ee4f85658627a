import { memo, type ReactNode } from 'react';
import { useNow } from '@madang/react';
import type { ChatGap, MessageLine, Pending } from '@madang/sdk';
import { clockTime, momentOf } from '../../lib/format';
import { refusalWords } from '../../lib/chat-words';
import { nameColour } from '../../lib/name-colour';
import { t } from '../../texts';
import { LockIcon, ReplyIcon } from '../icons';
import { Actions } from './actions';
import { useChat, useChatStatus, useDesk } from './context';
import { ChatText } from './text';

/** What signaling calls people without a name. */
const NAMELESS = 'guest';

/** What somebody in a chat is called. */
export function chatName({ name, host = false }: { name: string; host?: boolean }): string {
  if (!isNameless(name)) return name;
  return host ? t.chatHost : t.chatNamePlaceholder;
}

function isNameless(name: string): boolean {
  return name === '' || name === NAMELESS;
}

/** A message. One that is there is drawn once, however many come after it. */
export const Line = memo(function Line(props: {
  message: MessageLine;
  /** Goes on from the one above, under its name. */
  goesOn: boolean;
  mine: boolean;
  /** What can be done with it is offered. */
  active: boolean;
  /** It was jumped to. */
  marked: boolean;
  onJump: (seq: number, name: string) => void;
}): ReactNode {
  const { message, goesOn, mine, active, marked, onJump } = props;
  const { seq, host, at, text, deleted = false, edited_at: editedAt, reply_to: quote, to } = message;
  const name = chatName(message);
  // The mark of a host says it.
  const isNamelessHost = host && isNameless(message.name);
  return (
    <li
      className="chat-line"
      data-seq={seq}
      data-host={host}
      data-goes-on={goesOn}
      data-marked={marked}
      data-direct={to !== undefined}
      data-testid="chat-message"
      tabIndex={-1}
      aria-label={goesOn ? `${name}, ${clockTime(at)}` : undefined}
    >
      {quote === undefined || deleted ? null : (
        <button
          type="button"
          className="chat-quote"
          tabIndex={active ? 0 : -1}
          aria-label={t.chatJump(chatName(quote))}
          onClick={() => onJump(quote.seq, chatName(quote))}
          data-testid="chat-quote"
        >
          <ReplyIcon />
          <bdi className="chat-quote-name">{quote.name === '' ? '' : chatName(quote)}</bdi>
          <span className="chat-quote-text" dir="auto">
            {quote.deleted === true ? t.chatDeleted : quote.text}
          </span>
        </button>
      )}
      {goesOn ? null : (
        <span className="chat-meta">
          {isNamelessHost ? null : (
            <bdi className="chat-name" data-colour={nameColour(message.from)}>
              {name}
            </bdi>
          )}
          {host ? <span className="tag">{t.chatHost}</span> : null}
          {mine ? <span className="tag quiet-tag">{t.chatYou}</span> : null}
          <time dateTime={new Date(at).toISOString()} title={momentOf(at)}>
            {clockTime(at)}
          </time>
        </span>
      )}
      {to === undefined ? null : (
        <span className="chat-audience" data-testid="chat-direct">
          <LockIcon />
          {t.chatOnlyYou(mine ? chatName(to) : name)}
        </span>
      )}
      {deleted ? (
        <span className="chat-text chat-deleted" data-testid="chat-deleted">
          {t.chatDeleted}
        </span>
      ) : (
        <span className="chat-text" dir="auto">
          <ChatText text={text} />
          {editedAt === undefined ? null : (
            <span className="chat-edited" title={t.chatEditedAt(momentOf(editedAt))}>
              {' '}
              ({t.chatEdited})
            </span>
          )}
        </span>
      )}
      {active && !deleted ? <Actions message={message} mine={mine} name={name} /> : null}
    </li>
  );
});

/** What was written here and is not in the room yet, and why. */
export function PendingLine({ message }: { message: Pending }): ReactNode {
  const { chat, desk, connection } = useChat();
  const now = useNow(10_000);
  const status = useChatStatus((all) => all);
  const isFree = useDesk(({ text, editing }) => text === '' && editing === null);
  const { id, state, text, to, replyTo } = message;
  const waits = state.kind === 'sent' ? t.chatSent : connection === 'connected' ? t.chatSending : t.chatKept;
  return (
    <li className="chat-line chat-pending" data-state={state.kind} data-testid="chat-pending">
      {replyTo === undefined ? null : (
        <span className="chat-quote">
          <ReplyIcon />
          <bdi className="chat-quote-name">{chatName(replyTo)}</bdi>
          <span className="chat-quote-text">{replyTo.text}</span>
        </span>
      )}
      {to === undefined ? null : (
        <span className="chat-audience">
          <LockIcon />
          {t.chatOnlyYou(chatName(to))}
        </span>
      )}
      <span className="chat-text" dir="auto">
        {text}
      </span>
      <span className="chat-meta">
        {state.kind === 'refused' ? (
          <>
            <span role="alert" data-testid="chat-refused">
              {refusalWords({ ...state.refusal, retryAfterMs: null }, 0, status, now)}
            </span>
            <button type="button" className="chat-small" onClick={() => chat.retry(id)}>
              {t.retry}
            </button>
            {isFree ? (
              <button type="button" className="chat-small" onClick={() => desk.putBack(id)}>
                {t.chatBack}
              </button>
            ) : null}
            <button type="button" className="chat-small" onClick={() => chat.drop(id)}>
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

/** Where messages came that are not here. */
export function GapLine({ gap }: { gap: ChatGap }): ReactNode {
  const { chat } = useChat();
  return (
    <li className="chat-gap" data-testid="chat-gap" data-why={gap.why}>
      <span>{gap.why === 'busy' ? t.chatPassed(gap.dropped) : t.chatGap(gap.dropped)}</span>
      <button type="button" className="chat-small" onClick={() => void chat.reveal(gap.after)}>
        {t.chatShowAll}
      </button>
    </li>
  );
}
