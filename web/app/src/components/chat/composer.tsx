import { useNow, useStoreValue } from '@madang/react';
import {
  type KeyboardEvent,
  lazy,
  type ReactNode,
  type SubmitEvent,
  Suspense,
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
} from 'react';
import { MAX_CHAT_CHARS, MAX_NAME_CHARS, MAX_PENDING } from '@madang/sdk';
import { holds, lasting, refusalWords, sanctionWords, whoMayWrite } from '../../lib/chat-words';
import { keptName } from '../../lib/storage';
import { t } from '../../texts';
import { CloseIcon, LockIcon, SendIcon, SmileIcon } from '../icons';
import { useOrder } from './actions';
import { useChat, useChatStatus, useDesk } from './context';
import { chatName } from './line';

/** From so few characters that are left on, it is said how many. */
const TELL_LEFT = 50;

const EmojiPicker = lazy(() => import('./emoji-picker'));

/** Where messages are written, or why none can be. */
export function Composer(): ReactNode {
  const { silenced, moderator } = useChat();
  const now = useNow(1_000);
  const sanction = useChatStatus((status) => status.sanction);
  const settings = useChatStatus((status) => status.settings);
  const text = useDesk((state) => state.text);
  if (silenced) {
    return (
      <p className="chat-status chat-silenced" role="status" data-testid="chat-silenced">
        {t.chatSilenced}
      </p>
    );
  }
  if (holds(sanction, now)) {
    return (
      <div className="chat-silenced" role="status" data-testid="chat-sanction" data-kind={sanction.kind}>
        <p className="chat-status">{sanctionWords(sanction, now)}</p>
        {/* What was written stays: it can be sent when that is over, or copied. */}
        {text === '' ? null : <p className="chat-kept">{text}</p>}
      </div>
    );
  }
  const rule = moderator ? null : whoMayWrite(settings);
  return (
    <>
      {rule === null ? null : (
        <p className="chat-rule" data-testid="chat-rule">
          {rule}
        </p>
      )}
      <Field now={now} />
    </>
  );
}

function Field({ now }: { now: number }): ReactNode {
  const { chat, desk, named, people, me } = useChat();
  const { text, replyTo, to, editing, givenBack } = useDesk((state) => state);
  const [name, setName] = useState(keptName.read);
  const [picking, setPicking] = useState(false);
  const [saving, setSaving] = useState(false);
  const order = useOrder();
  const field = useRef<HTMLTextAreaElement>(null);
  const full = useStoreValue(chat.pending, ({ length }) => length >= MAX_PENDING);
  const slowUntil = useChatStatus((status) => status.slowUntil);
  useEffect(() => {
    if (!named) keptName.write(name);
  }, [named, name]);
  useLayoutEffect(() => {
    const element = field.current;
    if (element === null) return;
    element.style.height = 'auto';
    element.style.height = `${element.scrollHeight}px`;
  }, [text]);
  const begun = `${replyTo?.seq ?? ''} ${editing?.seq ?? ''} ${to?.id ?? ''}`;
  const before = useRef(begun);
  useEffect(() => {
    // Whoever has chosen what to answer or to change goes on in the field.
    if (before.current !== begun && begun.trim() !== '') field.current?.focus();
    before.current = begun;
  }, [begun]);

  const left = MAX_CHAT_CHARS - Array.from(text.trim()).length;
  const wait = editing === null ? slowUntil - now : 0;
  const others = people?.filter(({ id }) => id !== me) ?? [];
  const isGone = to !== null && people !== null && !others.some(({ id }) => id === to.id);
  const able =
    text.trim() !== '' && left >= 0 && !full && wait <= 0 && !saving && !(isGone && editing === null);
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const trimmed = text.trim();
    if (!able) return;
    if (editing !== null) {
      save(editing.seq, trimmed);
      return;
    }
    const options = {
      ...(replyTo === null ? {} : { replyTo }),
      ...(to === null ? {} : { to }),
      ...(named ? {} : { name: name.trim() }),
    };
    // What is not taken stays where it is.
    if (chat.send(trimmed, options)) desk.set({ text: '', replyTo: null, givenBack: null });
    field.current?.focus();
  };
  const save = (seq: number, trimmed: string): void => {
    setSaving(true);
    const asked = chat.edit(seq, trimmed);
    order(asked);
    void asked.then(({ sent }) => {
      setSaving(false);
      if (sent && desk.store.getState().editing?.seq === seq) desk.endEdit();
    });
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    // A syllable that is being put together is not finished by Enter, but it is not sent either.
    if (event.nativeEvent.isComposing) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      field.current?.form?.requestSubmit();
    } else if (event.key === 'Escape' && (editing !== null || replyTo !== null)) {
      event.preventDefault();
      event.stopPropagation();
      if (editing !== null) desk.endEdit();
      else desk.set({ replyTo: null });
    }
  };
  const insert = (emoji: string): void => {
    const element = field.current;
    const from = element?.selectionStart ?? text.length;
    const until = element?.selectionEnd ?? text.length;
    desk.set({ text: text.slice(0, from) + emoji + text.slice(until) });
    requestAnimationFrame(() => {
      element?.focus();
      element?.setSelectionRange(from + emoji.length, from + emoji.length);
    });
  };
  const placeholder = to === null ? t.chatPlaceholder : t.chatPlaceholderTo(chatName(to));
  return (
    <form className="composer" onSubmit={submit} data-direct={to !== null}>
      {full ? (
        <p className="chat-status" role="alert">
          {t.chatFull}
        </p>
      ) : null}
      {givenBack === null ? null : (
        <p className="composer-note" role="alert" data-testid="chat-refused">
          <span>{refusalWords(givenBack.refusal, givenBack.at, chat.status.get(), now)}</span>
          <Dismiss label={t.chatDrop} onClick={() => desk.set({ givenBack: null })} />
        </p>
      )}
      {editing === null ? null : (
        <p className="composer-note" data-testid="chat-editing">
          <span>{t.chatEditing}</span>
          <Dismiss label={t.chatEditEnd} onClick={desk.endEdit} />
        </p>
      )}
      {replyTo === null ? null : (
        <p className="composer-note" data-testid="chat-replying">
          <span className="composer-quote">
            <strong>
              <bdi>{t.chatReplyTo(chatName(replyTo))}</bdi>
            </strong>{' '}
            <span dir="auto">{replyTo.text}</span>
          </span>
          <Dismiss label={t.chatReplyEnd} onClick={() => desk.set({ replyTo: null })} />
        </p>
      )}
      {named || editing !== null ? null : (
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
      {people === null || editing !== null || (others.length === 0 && to === null) ? null : (
        <label className="composer-to">
          <span>{t.chatTo}</span>
          <select
            value={to?.id ?? ''}
            onChange={({ target: { value } }) => {
              desk.set({ to: others.find(({ id }) => id === value) ?? null });
            }}
            data-testid="chat-to"
          >
            <option value="">{t.chatEveryone}</option>
            {isGone ? <option value={to.id}>{t.chatGone(chatName(to))}</option> : null}
            {others.map((person) => (
              <option key={person.id} value={person.id}>
                {chatName(person)}
              </option>
            ))}
          </select>
          {to === null ? null : (
            <span className="composer-only" role="status" data-testid="chat-only">
              <LockIcon /> {isGone ? t.chatGoneHint(chatName(to)) : t.chatOnlySees(chatName(to))}
            </span>
          )}
        </label>
      )}
      {picking ? (
        <Suspense fallback={<p className="chat-status">{t.chatBansLoading}</p>}>
          <EmojiPicker
            onPick={insert}
            onClose={() => {
              setPicking(false);
              field.current?.focus();
            }}
          />
        </Suspense>
      ) : null}
      <div className="composer-row">
        <button
          type="button"
          className="icon-button"
          aria-label={t.emoji}
          title={t.emoji}
          aria-expanded={picking}
          onClick={() => setPicking(!picking)}
          data-testid="chat-emoji"
        >
          <SmileIcon />
        </button>
        <textarea
          ref={field}
          className="input"
          rows={1}
          value={text}
          placeholder={placeholder}
          aria-label={placeholder}
          aria-invalid={left < 0}
          autoComplete="off"
          enterKeyHint="send"
          dir="auto"
          onChange={(event) => desk.set({ text: event.target.value })}
          onKeyDown={onKeyDown}
          data-testid="chat-input"
        />
        <button
          type="submit"
          className="icon-button accent"
          disabled={!able}
          aria-label={editing !== null ? t.chatSave : wait > 0 ? t.chatWait(lasting(wait)) : t.chatSend}
          data-testid="chat-send"
        >
          {wait > 0 ? (
            <span className="composer-wait" data-testid="chat-wait">
              {Math.ceil(wait / 1_000)}
            </span>
          ) : (
            <SendIcon />
          )}
        </button>
      </div>
      {left > TELL_LEFT ? null : (
        <p className="composer-left" data-over={left < 0} role="status">
          {left < 0 ? t.chatTooLong(-left) : t.chatLeft(left)}
        </p>
      )}
    </form>
  );
}

function Dismiss({ label, onClick }: { label: string; onClick: () => void }): ReactNode {
  return (
    <button type="button" className="chat-action" aria-label={label} title={label} onClick={onClick}>
      <CloseIcon />
    </button>
  );
}
