import type { ReactNode } from 'react';
import { useCopy } from '../lib/hooks';
import { t } from '../texts';
import { CheckIcon, LinkIcon, SendIcon } from './icons';

/** The link of a call, to read, to copy and to hand to another program of the device. */
export function Invite({ url, title }: { url: string; title: string }): ReactNode {
  const { copied, label, copy } = useCopy(url);
  const share = (): void => {
    // Closing the sheet is no fault.
    navigator.share({ url, title }).catch(() => undefined);
  };
  return (
    <div className="invite">
      <input
        className="input"
        readOnly
        value={url}
        aria-label={t.inviteLink}
        onFocus={(event) => event.target.select()}
        data-testid="invite-link"
      />
      <button type="button" className="button" onClick={copy} data-testid="invite-copy">
        {copied ? <CheckIcon /> : <LinkIcon />}
        <span aria-live="polite">{label}</span>
      </button>
      {'share' in navigator ? (
        <button type="button" className="button" onClick={share} data-testid="invite-share">
          <SendIcon />
          {t.share}
        </button>
      ) : null}
    </div>
  );
}
