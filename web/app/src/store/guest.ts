import { RenewedIceServers } from '@madang/sdk';
import { api } from '../lib/api';
import { keptToken } from '../lib/storage';

/** A token is renewed this long before it ends. */
const MARGIN_MS = 5 * 60_000;

/** Who a viewer is in one room: the token of an invitation link, or a guest token that is renewed in time. */
export class Guest {
  /** TURN credentials for this guest. */
  readonly iceServers = new RenewedIceServers(async () => api.iceServers(await this.token()));
  private pending: Promise<string> | null = null;
  private participant: string | null = null;

  constructor(
    private readonly id: number,
    private readonly invitation: string | null = invitationOf(location.hash),
  ) {}

  /** The id that chat messages of this guest carry; null with an invitation, whose token is not read. */
  get participantId(): string | null {
    return this.participant;
  }

  /** A token that holds; refused with an `ApiError` where the broadcast is not public. */
  readonly token = async (): Promise<string> => {
    if (this.invitation !== null) return this.invitation;
    const kept = keptToken.read(this.id);
    if (kept !== null && kept.expiresAt - MARGIN_MS > Date.now()) {
      this.participant = kept.participantId;
      return kept.token;
    }
    this.pending ??= this.fetch().finally(() => (this.pending = null));
    return this.pending;
  };

  /** Drops a guest token that was refused; false with an invitation, which nothing replaces. */
  forget(): boolean {
    keptToken.clear(this.id);
    return this.invitation === null;
  }

  private async fetch(): Promise<string> {
    const { token, participant_id: participantId, expires_at: expiresAt } = await api.token(this.id);
    keptToken.write(this.id, { token, participantId, expiresAt: Date.parse(expiresAt) });
    this.participant = participantId;
    return token;
  }
}

/** The token of a link such as `/watch/7#token=...`. A fragment never reaches a server's log. */
export function invitationOf(hash: string): string | null {
  const token = new URLSearchParams(hash.replace(/^#/, '')).get('token');
  return token === '' ? null : token;
}
