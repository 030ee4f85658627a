/** `Link` headers (RFC 8288) as WHIP and WHEP endpoints send them. Pure functions on text. */

/** One link. */
export interface HeaderLink {
  url: string;
  /** Its parameters, with names in lower case. */
  parameters: ReadonlyMap<string, string>;
}

/** Where {@link HeaderLink.parameters} name this extension of WHEP, a viewer chooses its layers. */
export const LAYER_REL = 'urn:ietf:params:whep:ext:core:layer';
/** Where they name this extension of WHIP, a publisher hears what it is asked for. */
export const EVENTS_REL = 'urn:ietf:params:whip:ext:core:server-sent-events';

const LINK = /<([^>]*)>((?:\s*;\s*[\w-]+\s*=\s*(?:"[^"]*"|[^;,\s]+))*)/g;
const PARAMETER = /([\w-]+)\s*=\s*(?:"([^"]*)"|([^;,\s]+))/g;

/** The links of a header in order; a browser joins several headers with commas. */
export function headerLinks(header: string | null): HeaderLink[] {
  return [...(header ?? '').matchAll(LINK)].map(([, url = '', rest = '']) => {
    const parameters = new Map<string, string>();
    for (const [, name = '', quoted, bare] of rest.matchAll(PARAMETER)) {
      parameters.set(name.toLowerCase(), quoted ?? bare ?? '');
    }
    return { url, parameters };
  });
}

/** The target of the first link with this `rel`, made absolute; null if there is none. */
export function linkTarget(links: readonly HeaderLink[], rel: string, base: string): string | null {
  const link = links.find(({ parameters }) => parameters.get('rel')?.split(/\s+/).includes(rel));
  return link !== undefined && URL.canParse(link.url, base) ? new URL(link.url, base).href : null;
}

/** ICE servers of `Link: <stun:...>; rel="ice-server"` (RFC 9725, section 4.6). */
export function iceServersOfLinks(links: readonly HeaderLink[]): RTCIceServer[] {
  return links
    .filter(({ url, parameters }) => parameters.get('rel') === 'ice-server' && /^(stun|turn)s?:/.test(url))
    .map(({ url, parameters }) => {
      const server: RTCIceServer = { urls: [url] };
      const username = parameters.get('username');
      const credential = parameters.get('credential');
      if (username !== undefined) server.username = username;
      if (credential !== undefined) server.credential = credential;
      return server;
    });
}
