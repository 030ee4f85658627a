import { type ReactNode, useState } from 'react';
import { t } from '../../texts';
import { CloseIcon, PinIcon } from '../icons';
import { useOrder } from './actions';
import { useChat, useChatStatus } from './context';
import { chatName } from './line';
import { ChatText } from './text';

/** The message that a moderator has put above the others. */
export function Pinned(): ReactNode {
  const { chat, moderator, closed } = useChat();
  const order = useOrder();
  const pinned = useChatStatus((status) => status.pinned);
  const [whole, setWhole] = useState(false);
  if (pinned === null || pinned.deleted === true) return null;
  return (
    <aside className="chat-pinned" aria-label={t.chatPinned} data-testid="chat-pinned">
      <PinIcon />
      <div className="chat-pinned-text">
        <bdi className="chat-pinned-name">{chatName(pinned)}</bdi>
        <p data-whole={whole} dir="auto">
          <ChatText text={pinned.text} />
        </p>
        {pinned.text.length > 120 ? (
          <button type="button" className="chat-small" aria-expanded={whole} onClick={() => setWhole(!whole)}>
            {whole ? t.chatPinnedLess : t.chatPinnedMore}
          </button>
        ) : null}
      </div>
      {moderator && !closed ? (
        <button
          type="button"
          className="chat-action"
          aria-label={t.chatUnpinHint}
          title={t.chatUnpin}
          onClick={() => order(chat.moderate.pin(null))}
          data-testid="chat-unpin"
        >
          <CloseIcon />
        </button>
      ) : null}
    </aside>
  );
}
