import { useEffect, useState } from 'react';
import { t } from '../texts';
import { plain } from './format';

/** Sets the tab's title. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title === '' ? 'Madang' : `${plain(title)} · Madang`;
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

/** Less of the page is seen than this, and a keyboard lies over the rest. */
const KEYBOARD_PX = 120;

/**
 * Tells the styles how much of the page is seen, keyboards of phones left out: `--seen-height` and `--seen-top` of the
 * root, and `data-keyboard` while there is one.
 */
export function useSeenHeight(): void {
  useEffect(() => {
    const seen = window.visualViewport;
    const { documentElement: root } = document;
    if (seen === null) return;
    const tell = (): void => {
      // Who enlarges a part of the page looks at that part: there is no keyboard.
      const enlarged = seen.scale > 1.01;
      root.style.setProperty('--seen-height', enlarged ? '100dvh' : `${Math.round(seen.height)}px`);
      root.style.setProperty('--seen-top', enlarged ? '0px' : `${Math.round(seen.offsetTop)}px`);
      root.toggleAttribute('data-keyboard', !enlarged && innerHeight - seen.height > KEYBOARD_PX);
    };
    tell();
    seen.addEventListener('resize', tell);
    seen.addEventListener('scroll', tell);
    return () => {
      seen.removeEventListener('resize', tell);
      seen.removeEventListener('scroll', tell);
      root.style.removeProperty('--seen-height');
      root.style.removeProperty('--seen-top');
      root.removeAttribute('data-keyboard');
    };
  }, []);
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
