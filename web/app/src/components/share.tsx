import type { ReactNode } from 'react';
import { useCopy } from '../lib/hooks';
import { t } from '../texts';
import { CheckIcon, LinkIcon } from './icons';

/** A button that copies the link of a broadcast. */
export function ShareButton({ url }: { url: string }): ReactNode {
  const { copied, label, copy } = useCopy(url);
  return (
    <button type="button" className="button" onClick={copy} data-testid="share">
      {copied ? <CheckIcon /> : <LinkIcon />}
      <span aria-live="polite">{label}</span>
    </button>
  );
}

/** The link of a broadcast, to read and to copy. */
export function ShareField({ url }: { url: string }): ReactNode {
  return (
    <div className="share-field">
      <label className="field">
        <span>{t.shareLink}</span>
        <input
          className="input"
          readOnly
          value={url}
          onFocus={(event) => event.target.select()}
          data-testid="share-link"
        />
      </label>
      <ShareButton url={url} />
    </div>
  );
}
