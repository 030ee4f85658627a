import { lazy, type ReactNode, Suspense, useState } from 'react';
import { isLoopback } from '../lib/api';
import { useCopy } from '../lib/hooks';
import { t } from '../texts';
import { Dialog } from './dialog';
import { CheckIcon, LinkIcon, SendIcon } from './icons';

/** Drawn when somebody asks for it. */
const QrCode = lazy(async () => ({ default: (await import('./qr-code')).QrCode }));

/** A button that shows the ways to share a broadcast. */
export function ShareButton(props: { url: string; title: string; embed: string }): ReactNode {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="button share-button" onClick={() => setOpen(true)} data-testid="share">
        <SendIcon />
        <span>{t.share}</span>
      </button>
      {open ? (
        <Dialog
          title={t.shareTitle}
          className="share-dialog"
          onClose={() => setOpen(false)}
          testId="share-dialog"
        >
          <ShareField url={props.url} title={props.title} />
          <Suspense fallback={<div className="qr" />}>
            <QrCode url={props.url} />
          </Suspense>
          <CopyField
            label={t.shareEmbed}
            value={frameOf(props.embed)}
            action={t.copyCode}
            testId="share-embed"
          />
        </Dialog>
      ) : null}
    </>
  );
}

/** The link of a broadcast: to read, to copy, and to hand to another program of the device. */
export function ShareField({ url, title = '' }: { url: string; title?: string }): ReactNode {
  const share = (): void => {
    // Closing the sheet is no fault.
    navigator.share({ url, title }).catch(() => undefined);
  };
  return (
    <div className="share-field">
      <CopyField label={t.shareLink} value={url} testId="share-link" />
      {'share' in navigator ? (
        <button type="button" className="button" onClick={share} data-testid="share-native">
          <SendIcon />
          {t.shareWith}
        </button>
      ) : null}
      <Reach url={url} />
    </div>
  );
}

/** Says who can open the link, where that is not everybody. */
function Reach({ url }: { url: string }): ReactNode {
  if (!isLoopback(location.hostname)) return null;
  const local = !URL.canParse(url) || isLoopback(new URL(url).hostname);
  return <p className="quiet small share-reach">{local ? t.shareLocal : t.shareLan}</p>;
}

function CopyField(props: {
  label: string;
  value: string;
  /** What the button says; that it copies a link where it is not said. */
  action?: string;
  testId: string;
}): ReactNode {
  const { label, value, testId } = props;
  const { copied, label: said, copy } = useCopy(value);
  const copies = copied ? said : (props.action ?? said);
  return (
    <div className="copy-field">
      <label className="field">
        <span>{label}</span>
        <input
          className="input"
          readOnly
          value={value}
          onFocus={(event) => event.target.select()}
          data-testid={testId}
        />
      </label>
      <button type="button" className="button" onClick={copy} data-testid={`${testId}-copy`}>
        {copied ? <CheckIcon /> : <LinkIcon />}
        <span aria-live="polite">{copies}</span>
      </button>
    </div>
  );
}

/** What another site puts into its page. */
function frameOf(url: string): string {
  const allow = 'autoplay; fullscreen; picture-in-picture';
  return `<iframe src="${url}" width="640" height="360" allow="${allow}" allowfullscreen></iframe>`;
}
