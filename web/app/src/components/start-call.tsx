import { type ReactNode, type SubmitEvent, useEffect, useId, useRef, useState } from 'react';
import { MAX_TEXT_CHARS, randomKey } from '@madang/sdk';
import { api } from '../lib/api';
import { navigate } from '../lib/router';
import { keptCreatorToken, keptOwnerKey } from '../lib/storage';
import { type StartFailure, startFailure } from '../lib/start-failure';
import { t } from '../texts';
import { Notice } from './message';

const WORDS: Readonly<Record<StartFailure, string>> = {
  'token-needed': t.startTokenNeeded,
  'token-refused': t.startTokenRefused,
  'too-many': t.startTooMany,
  network: t.callNetwork,
  server: t.failureServer,
};

/** A call to be made: its name, and the creator token where one is needed. */
export interface CallToStart {
  name: string;
  token: string;
}

/** Makes calls; a repetition after a lost answer makes no second one. */
export class CallStarter {
  private last: { asked: string; key: string } | null = null;

  /** Makes the group and goes to its page. Fails with what the service said. */
  async start({ name, token }: CallToStart): Promise<void> {
    const asked = JSON.stringify([name, token]);
    if (this.last?.asked !== asked) this.last = { asked, key: randomKey() };
    const made = await api.createGroup({ name }, this.last.key, token === '' ? undefined : token);
    this.last = null;
    if (token !== '') keptCreatorToken.write(token);
    // Who has started a call moderates it.
    keptOwnerKey.write(made.id, made.owner_key);
    navigate(`/call/${made.id}`);
  }
}

/** The form that starts a call where one click is not enough; `failure` is why. */
export function StartCall(props: {
  starter: CallStarter;
  failure: StartFailure | null;
  needsToken: boolean;
  onClose: () => void;
}): ReactNode {
  const { starter, needsToken, onClose } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const [name, setName] = useState('');
  const [token, setToken] = useState(keptCreatorToken.read);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState(props.failure);
  const title = useId();
  useEffect(() => dialog.current?.showModal(), []);
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const given = token.trim();
    setBusy(true);
    setFailure(null);
    starter.start({ name: name.trim(), token: given }).then(onClose, (error: unknown) => {
      setBusy(false);
      const why = startFailure(error, given !== '');
      if (why === 'token-refused') keptCreatorToken.clear();
      setFailure(why);
    });
  };
  return (
    <dialog ref={dialog} className="dialog start-call" aria-labelledby={title} onCancel={onClose}>
      <h2 id={title}>{t.callStart}</h2>
      <form className="form" onSubmit={submit}>
        <label className="field">
          <span>{t.startName}</span>
          <input
            className="input"
            value={name}
            maxLength={MAX_TEXT_CHARS}
            placeholder={t.startNamePlaceholder}
            autoComplete="off"
            onChange={(event) => setName(event.target.value)}
            data-testid="start-name"
          />
        </label>
        {needsToken ? (
          <label className="field">
            <span>{t.creatorToken}</span>
            <input
              className="input"
              type="password"
              value={token}
              required
              autoComplete="off"
              aria-describedby={`${title}-hint`}
              onChange={(event) => setToken(event.target.value)}
              data-testid="start-token"
            />
            <small id={`${title}-hint`} className="quiet">
              {t.startTokenHint}
            </small>
          </label>
        ) : null}
        {failure === null ? null : (
          <Notice tone="error" testId="start-problem">
            {WORDS[failure]}
          </Notice>
        )}
        <div className="dialog-actions">
          <button type="button" className="button" onClick={onClose}>
            {t.cancel}
          </button>
          <button type="submit" className="button primary" disabled={busy} data-testid="start-submit">
            {busy ? <span className="spinner small" /> : null}
            {t.callStart}
          </button>
        </div>
      </form>
    </dialog>
  );
}
