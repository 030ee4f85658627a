import { type ReactNode, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { useStoreValue } from '@madang/react';
import type { RoomChat, SignalingState } from '@madang/sdk';
import { deskOf } from '../../store/chat-desk';
import { t } from '../../texts';
import { CloseIcon } from '../icons';
import { Composer } from './composer';
import { type Addressee, ChatContext, useChat, useChatStatus } from './context';
import { ChatList } from './list';
import { Pinned } from './pinned';
import { RulesButton } from './rules';

/** A word stands for so long. */
const WORD_MS = 4_000;

/** What a chat is given by the page that it stands in. */
export interface ChatProps {
  /** Null while the page has none yet. */
  chat: RoomChat | null;
  /** The broadcast or group that it belongs to. */
  room: string;
  connection: SignalingState;
  /** Who one is, as far as the page knows; the server says it as well. */
  own: string | null;
  closed?: boolean;
  silenced?: boolean;
  named?: boolean;
  /** Moderates, as the page knows; the server may say so as well. */
  moderator?: boolean;
  people?: readonly Addressee[] | null;
  /** People in the chat, where that is counted. */
  chatting?: number | null;
  onClose?: () => void;
}

/** The chat of a room, of a broadcast or of a call. */
export function Chat(props: ChatProps): ReactNode {
  const { chat, connection, onClose } = props;
  const chatting = props.closed === true ? null : (props.chatting ?? null);
  return (
    <section
      className="chat panel"
      aria-labelledby="chat-title"
      data-testid="chat"
      data-connection={connection}
    >
      {chat === null ? (
        <>
          <Header chatting={chatting} onClose={onClose} />
          <div className="chat-body" aria-busy="true" />
          <Connection connection={connection} />
        </>
      ) : (
        <Inside key={props.room} {...props} chat={chat} chatting={chatting} />
      )}
    </section>
  );
}

function Inside(props: ChatProps & { chat: RoomChat; chatting: number | null }): ReactNode {
  const { chat, room, connection, closed = false, silenced = false, named = false, people = null } = props;
  const { moderator: moderates, own } = props;
  const [word, say] = useWord();
  const desk = deskOf(chat, room);
  const me = useStoreValue(chat.status, (status) => status.me) ?? own;
  const moderator = useStoreValue(chat.status, (status) => status.moderator) || moderates === true;
  const place = useMemo(
    () => ({ chat, desk, connection, closed, silenced, named, me, moderator, people, say }),
    [chat, desk, connection, closed, silenced, named, me, moderator, people, say],
  );
  return (
    <ChatContext value={place}>
      <Header chatting={props.chatting} onClose={props.onClose}>
        {moderator && !closed ? <RulesButton /> : null}
      </Header>
      <Pinned />
      <Busy />
      <ChatList />
      <p className="chat-word" role="status" data-testid="chat-word" data-shown={word !== null}>
        {word}
      </p>
      {closed ? (
        <p className="chat-status">{t.chatEnded}</p>
      ) : (
        <>
          <Connection connection={connection} />
          <Composer />
        </>
      )}
    </ChatContext>
  );
}

function Header(props: {
  chatting: number | null;
  onClose: (() => void) | undefined;
  children?: ReactNode;
}): ReactNode {
  const { chatting, onClose, children } = props;
  return (
    <header className="panel-header">
      <h2 id="chat-title">{t.chat}</h2>
      {chatting === null ? null : <span className="quiet small">{t.chatting(chatting)}</span>}
      <span className="chat-header-space" />
      {children}
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
  );
}

function Connection({ connection }: { connection: SignalingState }): ReactNode {
  if (connection === 'connected') return null;
  return (
    <p className="chat-status" role="status" data-testid="chat-connection">
      <span className="spinner small" />
      {connection === 'connecting' ? t.chatConnecting : t.chatOffline}
    </p>
  );
}

/** Says that a sample is shown, and of how much. */
function Busy(): ReactNode {
  const busy = useChatStatus((status) => status.busy);
  const { connection } = useChat();
  if (busy === null || connection !== 'connected') return null;
  return (
    <p className="chat-busy" data-testid="chat-busy">
      {t.chatBusy(busy)}
    </p>
  );
}

function useWord(): [string | null, (text: string) => void] {
  const [word, setWord] = useState<string | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const say = useCallback((text: string) => {
    clearTimeout(timer.current);
    setWord(text);
    timer.current = setTimeout(() => setWord(null), WORD_MS);
  }, []);
  return [word, say];
}
