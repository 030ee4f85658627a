import { type Layers, parseLayers } from './layers.js';
import { EVENTS_REL, headerLinks, iceServersOfLinks, LAYER_REL, linkTarget } from './link-header.js';
import { ApiError, request } from './problem.js';
import { answerAfterRestart, iceFragment } from './sdp.js';
import type { LayerRequest } from './types.js';

/** What a WHIP or WHEP endpoint answered to an offer. */
export interface Opened {
  session: HttpSession;
  answer: string;
  /** ICE servers of the `Link` headers; may be empty. */
  iceServers: RTCIceServer[];
}

/** A session at a WHIP or WHEP endpoint: the HTTP side of RFC 9725, with its URL and entity tag. */
export class HttpSession {
  private constructor(
    private readonly url: string,
    readonly bearer: string | undefined,
    private etag: string | null,
    private answer: string,
    /** Where a viewer chooses its layers; null where the endpoint lacks that extension. */
    readonly layersUrl: string | null,
    /** Where a publisher hears what it is asked for; null likewise. */
    readonly eventsUrl: string | null,
  ) {}

  /** POSTs an offer. */
  static async open(
    endpoint: string,
    offer: string,
    bearer: string | undefined,
    signal: AbortSignal,
  ): Promise<Opened> {
    const response = await request(endpoint, {
      method: 'POST',
      headers: { 'Content-Type': 'application/sdp', Accept: 'application/sdp', ...authorization(bearer) },
      body: offer,
      signal,
    });
    const location = response.headers.get('location');
    if (response.status !== 201 || location === null) {
      throw new ApiError(response.status, 'no-session', 'the endpoint answered without a session');
    }
    const answer = await response.text();
    // Location may be relative, and a redirect may have moved its base.
    const base = response.url === '' ? endpoint : response.url;
    const url = new URL(location, base).href;
    const links = headerLinks(response.headers.get('link'));
    const session = new HttpSession(
      url,
      bearer,
      response.headers.get('etag'),
      answer,
      linkTarget(links, LAYER_REL, base),
      linkTarget(links, EVENTS_REL, base),
    );
    return { session, answer, iceServers: iceServersOfLinks(links) };
  }

  /** Sends candidates of ours. */
  async trickle(offer: string, candidates: readonly string[], complete: boolean): Promise<void> {
    await this.patch(iceFragment(offer, candidates, complete), this.etag);
  }

  /** Sends new ICE credentials; the answer to apply after the restart. */
  async restart(offer: string): Promise<string> {
    const response = await this.patch(iceFragment(offer, [], false), '*');
    const fragment = await response.text();
    const answer = answerAfterRestart(this.answer, fragment);
    if (answer === null)
      throw new ApiError(response.status, 'no-restart', 'the endpoint did not restart ICE');
    this.answer = answer;
    this.etag = response.headers.get('etag') ?? this.etag;
    return answer;
  }

  /** The layers there are, after a change if one is given; null where the endpoint lacks the extension. */
  async layers(change: LayerRequest | null, signal: AbortSignal): Promise<Layers | null> {
    if (this.layersUrl === null) return null;
    const response = await request(this.layersUrl, {
      headers: {
        Accept: 'application/json',
        ...(change === null ? {} : { 'Content-Type': 'application/json' }),
        ...authorization(this.bearer),
      },
      ...(change === null ? {} : { method: 'POST', body: JSON.stringify(change) }),
      signal,
    });
    return parseLayers(await response.json());
  }

  /** Ends the session. `keepalive` lets the request outlive the page. */
  async remove(keepalive = false): Promise<void> {
    try {
      await request(this.url, { method: 'DELETE', headers: authorization(this.bearer), keepalive });
    } catch (error) {
      // Gone already is what was wanted.
      if (!(error instanceof ApiError && (error.status === 404 || error.status === 410))) throw error;
    }
  }

  private patch(fragment: string, ifMatch: string | null): Promise<Response> {
    return request(this.url, {
      method: 'PATCH',
      headers: {
        'Content-Type': 'application/trickle-ice-sdpfrag',
        ...(ifMatch === null ? {} : { 'If-Match': ifMatch }),
        ...authorization(this.bearer),
      },
      body: fragment,
    });
  }
}

function authorization(bearer: string | undefined): Record<string, string> {
  return bearer === undefined ? {} : { Authorization: `Bearer ${bearer}` };
}
