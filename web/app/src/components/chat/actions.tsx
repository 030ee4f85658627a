import { useNow } from '@madang/react';
import { type ReactNode, useState } from 'react';
import { CHAT_EDIT_SECS, type MessageLine, type Outcome, type Whom } from '@madang/sdk';
import { copyText } from '../../lib/hooks';
import { lasting, orderWords } from '../../lib/chat-words';
import { t } from '../../texts';
import { Confirm } from '../confirm';
import { EditIcon, MoreIcon, ReplyIcon, TrashIcon } from '../icons';
import { BanDialog } from './ban';
import { useChat, useChatStatus } from './context';
import { FloatingMenu, type FloatingItem } from './floating-menu';

/** So much less than the server allows, since the clocks may differ. */
const EDIT_MARGIN_MS = 5_000;

/** Does what was asked of the chat, and says it, or why not. */
export function useOrder(): (asked: Promise<Outcome>, done?: string) => void {
  const { say } = useChat();
  return (asked, done) =>
    void asked.then((outcome) => {
      if (!outcome.sent) say(orderWords(outcome));
      else if (done !== undefined) say(done);
    });
}

/** What can be done with a message. */
export function Actions(props: { message: MessageLine; mine: boolean; name: string }): ReactNode {
  const { message, mine, name } = props;
  const { chat, desk, closed, silenced, moderator, people } = useChat();
  const now = useNow(10_000);
  const order = useOrder();
  const isPinned = useChatStatus(({ pinned }) => pinned?.seq === message.seq);
  const [asking, setAsking] = useState<'delete' | 'ban' | 'ban-address' | null>(null);
  const { seq, from, at, to } = message;
  const whom: Whom = { seq };
  const mayWrite = !closed && !silenced;
  const mayEdit = mine && mayWrite && now - at < CHAT_EDIT_SECS * 1_000 - EDIT_MARGIN_MS;
  const mayDelete = !closed && (mine || (moderator && to === undefined));
  const pause = (seconds: number): void =>
    order(chat.moderate.timeout(whom, seconds), t.chatTimeoutDone(name, lasting(seconds * 1_000)));
  const items: FloatingItem[] = [
    ...(mayWrite && !mine && people?.some(({ id }) => id === from) === true
      ? [
          {
            key: 'direct',
            label: t.chatDirect(name),
            onSelect: () => desk.set({ to: { id: from, name } }),
          },
        ]
      : []),
    {
      key: 'copy',
      label: t.chatCopy,
      onSelect: () => void copyText(message.text).catch(() => undefined),
    },
    ...(moderator && !closed && to === undefined
      ? [
          isPinned
            ? { key: 'pin', label: t.chatUnpin, onSelect: () => order(chat.moderate.pin(null)) }
            : { key: 'pin', label: t.chatPin, onSelect: () => order(chat.moderate.pin(seq)) },
        ]
      : []),
    ...(moderator && !closed && !mine
      ? [
          { key: 'timeout-1', label: t.chatTimeout1, onSelect: () => pause(60) },
          { key: 'timeout-10', label: t.chatTimeout10, onSelect: () => pause(600) },
          { key: 'timeout-60', label: t.chatTimeout60, onSelect: () => pause(3_600) },
          { key: 'ban', label: t.chatBan, danger: true, onSelect: () => setAsking('ban') },
          {
            key: 'ban-address',
            label: t.chatBanAddress,
            danger: true,
            onSelect: () => setAsking('ban-address'),
          },
        ]
      : []),
  ];
  return (
    <div className="chat-actions" role="toolbar" aria-label={t.chatActions(name)} data-testid="chat-actions">
      {mayWrite ? (
        <button
          type="button"
          className="chat-action"
          aria-label={t.chatReplyTo(name)}
          title={t.chatReply}
          onClick={() => {
            const alone = to === undefined ? null : mine ? to : { id: from, name };
            desk.set({ replyTo: { seq, name, text: message.text }, to: alone });
          }}
          data-testid="chat-reply"
        >
          <ReplyIcon />
        </button>
      ) : null}
      {mayEdit ? (
        <button
          type="button"
          className="chat-action"
          aria-label={t.chatEdit}
          title={t.chatEdit}
          onClick={() => desk.edit(message)}
          data-testid="chat-edit"
        >
          <EditIcon />
        </button>
      ) : null}
      {mayDelete ? (
        <button
          type="button"
          className="chat-action"
          aria-label={t.chatDelete}
          title={t.chatDelete}
          onClick={() => setAsking('delete')}
          data-testid="chat-delete"
        >
          <TrashIcon />
        </button>
      ) : null}
      <FloatingMenu label={t.chatMore} button={<MoreIcon />} items={items} testId="chat-more" />
      {asking === 'delete' ? (
        <Confirm
          title={t.chatDeleteTitle}
          text={t.chatDeleteText}
          yes={t.chatDelete}
          no={t.chatKeep}
          onNo={() => setAsking(null)}
          onYes={() => {
            setAsking(null);
            order(chat.delete(seq));
          }}
        />
      ) : null}
      {asking === 'ban' || asking === 'ban-address' ? (
        <BanDialog
          name={name}
          address={asking === 'ban-address'}
          onNo={() => setAsking(null)}
          onYes={(options) => {
            setAsking(null);
            order(chat.moderate.ban(whom, options), t.chatBanDone(name));
          }}
        />
      ) : null}
    </div>
  );
}
