import { useNow } from '@madang/react';
import { type ReactNode, useEffect, useState } from 'react';
import type { ChatBan } from '@madang/sdk';
import { holds, lasting, orderWords, whenWords } from '../../lib/chat-words';
import { t } from '../../texts';
import { Dialog } from '../dialog';
import { SettingsIcon } from '../icons';
import { useOrder } from './actions';
import { useChat, useChatStatus } from './context';

/** Times between messages to choose from, in seconds. */
const SLOW = [0, 5, 10, 30, 60, 120, 300, 600];
/** Times that somebody has to be known, in minutes; null is off. */
const KNOWN = [null, 0, 1, 5, 10, 60, 24 * 60, 7 * 24 * 60];

/** Opens what moderators say about who may write. */
export function RulesButton(): ReactNode {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button
        type="button"
        className="icon-button"
        aria-haspopup="dialog"
        aria-label={t.chatRules}
        title={t.chatRules}
        onClick={() => setOpen(true)}
        data-testid="chat-rules-open"
      >
        <SettingsIcon />
      </button>
      {open ? <Rules onClose={() => setOpen(false)} /> : null}
    </>
  );
}

function Rules({ onClose }: { onClose: () => void }): ReactNode {
  const { chat } = useChat();
  const order = useOrder();
  const settings = useChatStatus((status) => status.settings);
  const { slow_seconds: slow, followers_minutes: minutes = null } = settings;
  // What another client has set may be none of these.
  const slows = SLOW.includes(slow) ? SLOW : [...SLOW, slow].sort((a, b) => a - b);
  const known = KNOWN.includes(minutes) ? KNOWN : [...KNOWN, minutes];
  return (
    <Dialog title={t.chatRules} className="chat-rules" onClose={onClose} testId="chat-rules">
      <label className="field">
        <span>{t.chatRuleSlow}</span>
        <select
          className="select"
          value={slow}
          onChange={(event) => order(chat.moderate.slow(Number(event.target.value)))}
          data-testid="chat-slow"
        >
          {slows.map((seconds) => (
            <option key={seconds} value={seconds}>
              {seconds === 0 ? t.chatRuleOff : lasting(seconds * 1_000)}
            </option>
          ))}
        </select>
      </label>
      <label className="field">
        <span>{t.chatRuleFollowers}</span>
        <select
          className="select"
          value={minutes ?? 'off'}
          onChange={({ target: { value } }) =>
            order(chat.moderate.followers(value === 'off' ? null : Number(value)))
          }
          data-testid="chat-followers"
        >
          {known.map((some) => (
            <option key={some ?? 'off'} value={some ?? 'off'}>
              {some === null ? t.chatRuleOff : some === 0 ? t.chatRuleAnyTime : lasting(some * 60_000)}
            </option>
          ))}
        </select>
      </label>
      <Bans />
    </Dialog>
  );
}

/** Who may not write, with a way back. */
function Bans(): ReactNode {
  const { chat, say } = useChat();
  const [bans, setBans] = useState<readonly ChatBan[] | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [asked, setAsked] = useState(0);
  const now = useNow(1_000);
  useEffect(() => {
    let gone = false;
    void chat.moderate.bans().then((outcome) => {
      if (gone) return;
      setFailure(outcome.sent ? null : orderWords(outcome));
      if (outcome.sent) setBans(outcome.bans ?? []);
    });
    return () => {
      gone = true;
    };
  }, [chat, asked]);
  const lift = ({ person }: ChatBan): void =>
    void chat.moderate.unban(person).then((outcome) => {
      if (!outcome.sent) say(orderWords(outcome));
      setAsked((count) => count + 1);
    });
  const present = bans?.filter((ban) => holds(ban, now)) ?? [];
  return (
    <section className="chat-bans" aria-labelledby="chat-bans-title" data-testid="chat-bans">
      <h3 id="chat-bans-title">{t.chatBans}</h3>
      {failure === null ? null : (
        <p role="alert">
          {failure}{' '}
          <button type="button" className="chat-small" onClick={() => setAsked(asked + 1)}>
            {t.retry}
          </button>
        </p>
      )}
      {bans === null && failure === null ? <p role="status">{t.chatBansLoading}</p> : null}
      {bans !== null && present.length === 0 ? <p className="quiet">{t.chatBansNone}</p> : null}
      <ul>
        {present.map((ban) => (
          <li key={ban.person} data-testid="chat-banned">
            <span className="chat-ban-who">
              <bdi>{ban.name === '' ? t.chatNamePlaceholder : ban.name}</bdi>
              <span className="quiet small">
                {[
                  ban.until === undefined ? t.chatBanForever : t.chatBanUntil(whenWords(ban.until, now)),
                  ...(ban.address ? [t.chatBanWithAddress] : []),
                  ...(ban.reason === undefined ? [] : [ban.reason]),
                ].join(' · ')}
              </span>
            </span>
            <button
              type="button"
              className="button"
              aria-label={t.chatUnbanOf(ban.name)}
              onClick={() => lift(ban)}
              data-testid="chat-unban"
            >
              {t.chatUnban}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
