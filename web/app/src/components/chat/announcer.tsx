import { type ReactNode, useEffect, useRef, useState } from 'react';
import { useStoreValue } from '@madang/react';
import { t } from '../../texts';
import { useChat, useChatStatus } from './context';
import { chatName } from './line';

/** At most once in this time something is read out, so that a busy chat does not talk without end. */
const EVERY_MS = 3_000;
/** Longer texts are read in the list. */
const MAX_CHARS = 200;

/** Tells screen readers what comes: the message, or of several how many. */
export function Announcer(): ReactNode {
  const { chat, me } = useChat();
  const open = useChatStatus((status) => status.open);
  const last = useChatStatus((status) => status.last);
  const messages = useStoreValue(chat.messages);
  const [words, setWords] = useState('');
  const told = useRef<number | null>(null);
  const at = useRef(0);
  const newest = messages.at(-1)?.seq ?? 0;
  useEffect(() => {
    if (!open) return;
    // What was there at the beginning is history.
    told.current ??= Math.max(last, newest);
    const wait = Math.max(0, at.current + EVERY_MS - Date.now());
    const timer = setTimeout(() => {
      const since = told.current ?? 0;
      const fresh = chat.messages.get().filter(({ seq, from }) => seq > since && from !== me);
      told.current = Math.max(since, chat.messages.get().at(-1)?.seq ?? 0);
      const [one] = fresh;
      if (one === undefined) return;
      at.current = Date.now();
      const text = Array.from(one.text).slice(0, MAX_CHARS).join('');
      setWords(fresh.length === 1 ? `${chatName(one)}: ${text}` : t.chatNewCount(fresh.length));
    }, wait);
    return () => clearTimeout(timer);
  }, [chat, me, open, last, newest]);
  return (
    <p className="visually-hidden" role="status" aria-live="polite" data-testid="chat-announcer">
      {words}
    </p>
  );
}
