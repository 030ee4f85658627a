import { ApiError, request } from './problem.js';
import type { JoinCall, JoinedCall, PatchCall, PatchedCall } from './types.js';

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
    const response = await request(sessions, {
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
    const response = await request(this.url, {
      method: 'PATCH',
      headers: { 'Content-Type': 'application/json', 'If-Match': this.etag },
      body: JSON.stringify(body),
      signal,
    });
    this.etag = etagOf(response);
    return (await response.json()) as PatchedCall;
  }
}

/** From another origin a page may not be shown it: then any will do. */
function etagOf(response: Response): string {
  return response.headers.get('etag') ?? '*';
}
