import { type RefObject, useEffect, useRef, useState } from 'react';
import { t } from '../texts';

/** Sets the tab's title. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title === '' ? 'Madang' : `${title} · Madang`;
  }, [title]);
}

/** The time in Unix milliseconds, renewed each `everyMs`. */
export function useNow(everyMs: number): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** Whether a media query matches. */
export function useMedia(query: string): boolean {
  const [matches, setMatches] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const update = (): void => setMatches(list.matches);
    list.addEventListener('change', update);
    return () => list.removeEventListener('change', update);
  }, [query]);
  return matches;
}

/** Shows tracks in a media element; no track, no source. */
export function useTracks<T extends HTMLMediaElement>(
  ...tracks: (MediaStreamTrack | null)[]
): RefObject<T | null> {
  const ref = useRef<T>(null);
  const present = tracks.filter((track) => track !== null);
  const key = present.map(({ id }) => id).join(' ');
  useEffect(() => {
    const element = ref.current;
    if (element === null) return;
    element.srcObject = key === '' ? null : new MediaStream(present);
    // The key stands for the tracks: an equal set must not restart playback.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [key]);
  return ref;
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

async function copyText(text: string): Promise<boolean> {
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
