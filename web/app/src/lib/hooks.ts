import { useEffect, useState } from 'react';
import { t } from '../texts';

/** Sets the tab's title. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title === '' ? 'Madang' : `${title} · Madang`;
  }, [title]);
}

/** How often the browser has brought this page back from its back-forward cache: what it had open is closed by then. */
export function useRevivals(): number {
  const [revivals, setRevivals] = useState(0);
  useEffect(() => {
    const shown = ({ persisted }: PageTransitionEvent): void => {
      if (persisted) setRevivals((count) => count + 1);
    };
    addEventListener('pageshow', shown);
    return () => removeEventListener('pageshow', shown);
  }, []);
  return revivals;
}

/** Copies text; tells for two seconds that it did. */
export function useCopy(text: string): { copied: boolean; label: string; copy: () => void } {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 2_000);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = (): void => {
    copyText(text).then(setCopied, () => undefined);
  };
  return { copied, label: copied ? t.copied : t.copy, copy };
}

/** Copies text; rejects where the browser does not let it. */
export async function copyText(text: string): Promise<boolean> {
  if (isSecureContext) {
    await navigator.clipboard.writeText(text);
    return true;
  }
  // Plain-HTTP pages in a LAN have no clipboard interface but the old command.
  const field = document.createElement('textarea');
  field.value = text;
  field.setAttribute('readonly', '');
  field.className = 'visually-hidden';
  document.body.append(field);
  field.select();
  // eslint-disable-next-line @typescript-eslint/no-deprecated
  const done = document.execCommand('copy');
  field.remove();
  return done;
}
