import { ApiError, NetworkError, request } from './problem.js';
import type { JoinCall, JoinedCall, PatchCall, PatchedCall } from './types.js';

/**
 * What brings back a session is asked for again after this time: on a line that was cut the request itself may be what
 * does not come back.
 */
const AGAIN_MS = 3_000;

/** A session of a call at its server: the HTTP side, with its secret and the entity tag of its ICE credentials. */
export class CallSession {
  private constructor(
    /** The secret that resumes it. */
    readonly id: string,
    private readonly url: string,
    private etag: string,
  ) {}

  /** Begins one, or goes on with the one that `body` resumes. */
  static async open(
    url: string,
    group: string,
    body: JoinCall,
    bearer: string | null,
  ): Promise<{ session: CallSession; joined: JoinedCall }> {
    const sessions = `${url}/rooms/${group}/sessions`;
    const response = await asked(sessions, body.resume === undefined ? null : AGAIN_MS, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        ...(bearer === null ? {} : { Authorization: `Bearer ${bearer}` }),
      },
      body: JSON.stringify(body),
    });
    const joined = (await response.json()) as JoinedCall;
    const session = new CallSession(joined.session, `${sessions}/${joined.session}`, etagOf(response));
    return { session, joined };
  }

  /** New ICE credentials of ours for the server's. */
  async restart(body: PatchCall, signal: AbortSignal): Promise<PatchedCall> {
    try {
      return await this.patch(body, signal);
    } catch (error) {
      // The answer to an earlier restart was lost, and with it the tag.
      if (!(error instanceof ApiError && error.status === 412)) throw error;
      this.etag = '*';
      return this.patch(body, signal);
    }
  }

  /** Ends it. A server that cannot be told notices by itself. */
  async end(): Promise<void> {
    await request(this.url, { method: 'DELETE', keepalive: true }).catch(() => undefined);
  }

  private async patch(body: PatchCall, signal: AbortSignal): Promise<PatchedCall> {
    const response = await asked(this.url, AGAIN_MS, {
      method: 'PATCH',
      headers: { 'Content-Type': 'application/json', 'If-Match': this.etag },
      body: JSON.stringify(body),
      signal,
    });
    this.etag = etagOf(response);
    return (await response.json()) as PatchedCall;
  }
}

/** A request that has no answer within this time has none; null is as long as any request has. */
async function asked(url: string, withinMs: number | null, init: RequestInit): Promise<Response> {
  if (withinMs === null) return request(url, init);
  const late = AbortSignal.timeout(withinMs);
  const { signal } = init;
  try {
    return await request(url, { ...init, signal: signal == null ? late : AbortSignal.any([signal, late]) });
  } catch (error) {
    throw late.aborted ? new NetworkError('no answer in time') : error;
  }
}

/** From another origin a page may not be shown it: then any will do. */
function etagOf(response: Response): string {
  return response.headers.get('etag') ?? '*';
}
