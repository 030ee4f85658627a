/** A piece of a text: as it stands, or a link that goes where it says. */
export type Piece = string | { href: string; shown: string };

/** Links start like that; anything else that could be an address is text. */
const LINK = /https?:\/\/[^\s<>"']+/giu;
/** Longer ones are cut in the middle, never in the host. */
const MAX_SHOWN = 80;
/** What nobody sees and what turns the direction of writing: with it an address could look like another one. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/**
 * The pieces of a text. A link has its host as the browser asks for it: letters of other scripts, which may look like
 * Latin ones, are written out (`xn--`). An address with a user name is no link: what stands before the `@` looks like a
 * host.
 */
export function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = [];
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    const raw = withoutEnd(match[0]);
    const link = linkOf(raw);
    if (link === null) continue;
    if (match.index > end) pieces.push(text.slice(end, match.index));
    pieces.push(link);
    end = match.index + raw.length;
  }
  if (end < text.length) pieces.push(text.slice(end));
  return pieces;
}

function linkOf(raw: string): Exclude<Piece, string> | null {
  if (raw.search(INVISIBLE) >= 0 || !URL.canParse(raw)) return null;
  const url = new URL(raw);
  const isWeb = url.protocol === 'http:' || url.protocol === 'https:';
  if (!isWeb || url.host === '' || url.username !== '' || url.password !== '') return null;
  return { href: url.href, shown: shownOf(url) };
}

function shownOf({ protocol, host, pathname, search, hash }: URL): string {
  const rest = `${pathname === '/' && search === '' && hash === '' ? '' : pathname}${search}${hash}`;
  // That a connection is not encrypted is worth knowing.
  const start = `${protocol === 'http:' ? 'http://' : ''}${host}`;
  const path = readable(rest);
  const room = MAX_SHOWN - start.length;
  if (Array.from(path).length <= Math.max(room, 20)) return start + path;
  const characters = Array.from(path);
  const half = Math.max(10, Math.floor(room / 2));
  return `${start}${characters.slice(0, half).join('')}…${characters.slice(-half).join('')}`;
}

/** A path in its own letters, where none of them misleads. */
function readable(path: string): string {
  try {
    const decoded = decodeURI(path);
    return decoded.search(INVISIBLE) < 0 && !/\s/u.test(decoded) ? decoded : path;
  } catch {
    return path;
  }
}

/** Without the full stop of a sentence, or a bracket that opened before the link. */
function withoutEnd(raw: string): string {
  let end = raw.length;
  for (;;) {
    const last = raw.charAt(end - 1);
    const inside = raw.slice(0, end);
    const isStray = (open: string, close: string): boolean =>
      last === close && inside.split(close).length > inside.split(open).length;
    if (!/[.,:;!?*_~]/.test(last) && !isStray('(', ')') && !isStray('[', ']') && !isStray('{', '}'))
      return inside;
    end -= 1;
  }
}
