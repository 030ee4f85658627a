import { ApiError, type JoinToken, type TokenRequest } from '@madang/sdk';
import { api } from '../lib/api';
import { keptCallToken, type KeptCallToken, keptOwnerKey } from '../lib/storage';
import { tabLock } from '../lib/tab-lock';

/** A token is renewed this long before it ends. */
const MARGIN_MS = 5 * 60_000;

/**
 * Who this tab is in the call of a group. A reload comes back as the same participant; a duplicated tab is somebody of
 * its own, or the two would replace each other for ever.
 */
export class CallGuest {
  private own: KeptCallToken | null = null;
  private pending: Promise<string> | null = null;
  private release: (() => void) | null = null;
  private left = false;

  constructor(
    private readonly group: string,
    private readonly name: string,
  ) {}

  /** A token that holds, always of the same participant; refused with an `ApiError`. */
  readonly token = (): Promise<string> => {
    this.pending ??= this.find().finally(() => (this.pending = null));
    return this.pending;
  };

  /** Drops a token that was refused. */
  forget(): void {
    this.own = null;
    keptCallToken.clear(this.group);
  }

  /** Lets a tab that comes after this one be the same participant. */
  leave(): void {
    this.left = true;
    this.release?.();
    this.release = null;
  }

  private async find(): Promise<string> {
    this.own ??= await this.takeUp();
    const { own } = this;
    const now = Date.now();
    if (own !== null && own.expiresAt - MARGIN_MS > now) return own.token;
    if (own !== null && own.expiresAt > now) {
      try {
        return await this.ask(own.token);
      } catch (error) {
        if (!(error instanceof ApiError && error.status === 401)) throw error;
        this.forget();
      }
    }
    return this.ask();
  }

  /** What the page before a reload has kept; null where there is none, or another tab goes by it. */
  private async takeUp(): Promise<KeptCallToken | null> {
    const kept = keptCallToken.read(this.group);
    // A token keeps its name.
    if (kept?.name !== this.name || kept.expiresAt <= Date.now()) return null;
    return (await this.lock(kept.participantId)) ? kept : null;
  }

  /** Renews the token that `bearer` is, or asks for somebody new. */
  private async ask(bearer?: string): Promise<string> {
    const { group, name } = this;
    const isNamed = bearer === undefined && name !== '';
    const answer = await this.request(isNamed ? { name } : {}, bearer);
    const { token, participant_id: participantId, expires_at: expiresAt } = answer;
    this.own = { token, participantId, name, expiresAt: Date.parse(expiresAt) };
    keptCallToken.write(group, this.own);
    if (bearer === undefined) await this.lock(participantId);
    return token;
  }

  /** Somebody new comes as the owner of the group where this tab has made it. */
  private async request(body: TokenRequest, bearer?: string): Promise<JoinToken> {
    const ownerKey = keptOwnerKey.read(this.group);
    if (bearer === undefined && ownerKey !== null) {
      try {
        return await api.groupToken(this.group, body, ownerKey);
      } catch (error) {
        if (!(error instanceof ApiError && (error.status === 401 || error.status === 403))) throw error;
        keptOwnerKey.clear(this.group);
      }
    }
    return api.groupToken(this.group, body, bearer);
  }

  private async lock(participantId: string): Promise<boolean> {
    this.release?.();
    const release = await tabLock(`madang.call.${participantId}`);
    if (this.left) release?.();
    else this.release = release;
    return release !== null;
  }
}
