import { request } from './problem.js';
import { headerLinks, linkTarget } from './link-header.js';
import type {
  Broadcast,
  CreateBroadcast,
  CreatedGroup,
  CreateGroup,
  Group,
  TokenRequest,
  UpdateGroup,
  CreatedBroadcast,
  Grant,
  IceServers,
  JoinToken,
  Status,
  UpdateBroadcast,
} from './types.js';

/** Which broadcasts {@link MetaApi.list} answers. */
export interface ListQuery {
  /** Words in name or description. */
  q?: string;
  status?: Status;
  /** `planned`: those with a planned time only, the soonest first. */
  sort?: 'newest' | 'viewers' | 'planned';
  limit?: number;
}

/** A part of a list. */
export interface ListPage<T> {
  rows: T[];
  /** What {@link MetaApi.page} takes to go on after it; null at the end. */
  next: string | null;
}

/** The REST interface of the meta service. Failures are `ApiError` and `NetworkError`. */
export class MetaApi {
  /** `base` is the service's origin, without a slash at its end; empty means the page's own. */
  constructor(private readonly base = '') {}

  /** Broadcasts that match, a page at most. */
  async list(query: ListQuery, signal?: AbortSignal): Promise<Broadcast[]> {
    return (await this.page(query, null, signal)).rows;
  }

  /** A page of the broadcasts that match: the first, or the one after the page whose `next` is `after`. */
  async page(query: ListQuery, after: string | null, signal?: AbortSignal): Promise<ListPage<Broadcast>> {
    return this.rows('/broadcasts', { ...query, ...(after === null ? {} : { cursor: after }) }, signal);
  }

  /** A page of the groups, newest first; outside the development mode for admins. */
  async groups(
    query: { limit?: number },
    after: string | null,
    bearer?: string,
    signal?: AbortSignal,
  ): Promise<ListPage<Group>> {
    return this.rows('/groups', { ...query, ...(after === null ? {} : { cursor: after }) }, signal, bearer);
  }

  /** One broadcast. */
  async get(id: number, signal?: AbortSignal): Promise<Broadcast> {
    return this.json('GET', `/broadcasts/${id}`, signal ? { signal } : {});
  }

  /** Creates a broadcast; the same `idempotencyKey` (see {@link randomKey}) never creates two and gets the same keys. */
  async create(
    body: CreateBroadcast,
    idempotencyKey: string,
    creatorToken?: string,
  ): Promise<CreatedBroadcast> {
    return this.json('POST', '/broadcasts', {
      body,
      bearer: creatorToken,
      headers: { 'Idempotency-Key': idempotencyKey },
    });
  }

  /** Changes what is named in `body`, for the owner. */
  async update(id: number, body: UpdateBroadcast, ownerKey: string): Promise<Broadcast> {
    return this.json('PUT', `/broadcasts/${id}`, { body, bearer: ownerKey });
  }

  /** Deletes a broadcast, for the owner; a live one ends. */
  async delete(id: number, ownerKey: string): Promise<void> {
    await request(`${this.base}/broadcasts/${id}`, {
      method: 'DELETE',
      headers: { Authorization: `Bearer ${ownerKey}` },
    });
  }

  /** Replaces `streamKey`, for the owner; whoever sends with it is cut off. Fails if it was replaced meanwhile. */
  async replaceStreamKey(id: number, streamKey: string, ownerKey: string): Promise<string> {
    const body = { stream_key: streamKey };
    const answer = await this.json<{ stream_key: string }>('POST', `/broadcasts/${id}/key`, {
      body,
      bearer: ownerKey,
    });
    return answer.stream_key;
  }

  /** A token for the room of a broadcast: for guests without a bearer, with more rights for its owner. */
  async token(
    id: number,
    body: { grants?: Grant[]; name?: string } = {},
    bearer?: string,
  ): Promise<JoinToken> {
    return this.json('POST', `/broadcasts/${id}/token`, { body, bearer });
  }

  /** STUN and TURN servers with credentials, for whoever holds a token or key. */
  async iceServers(bearer?: string): Promise<IceServers> {
    return this.json('GET', '/ice-servers', { bearer });
  }

  /** Creates a group; the same `idempotencyKey` (see {@link randomKey}) never creates two and gets the same key. */
  async createGroup(body: CreateGroup, idempotencyKey: string, creatorToken?: string): Promise<CreatedGroup> {
    return this.json('POST', '/groups', {
      body,
      bearer: creatorToken,
      headers: { 'Idempotency-Key': idempotencyKey },
    });
  }

  /** One group. */
  async group(id: string, signal?: AbortSignal): Promise<Group> {
    return this.json('GET', groupPath(id), signal ? { signal } : {});
  }

  /** Changes what is named in `body`, for the owner. */
  async updateGroup(id: string, body: UpdateGroup, ownerKey: string): Promise<Group> {
    return this.json('PATCH', groupPath(id), { body, bearer: ownerKey });
  }

  /** Deletes a group, for the owner; whoever is in its call is told. */
  async deleteGroup(id: string, ownerKey: string): Promise<void> {
    await request(this.base + groupPath(id), {
      method: 'DELETE',
      headers: { Authorization: `Bearer ${ownerKey}` },
    });
  }

  /**
   * A token to join the call of a group: a participant's where its link is the invitation, a moderator's for its owner.
   * With a token of the group as `bearer`, a fresh one of the same person.
   */
  async groupToken(id: string, body: TokenRequest = {}, bearer?: string): Promise<JoinToken> {
    return this.json('POST', `${groupPath(id)}/token`, { body, bearer });
  }

  /** Where the thumbnail of a broadcast is; an empty answer before the first upload. */
  thumbnailUrl(id: number, version: string | number): string {
    return `${this.base}/broadcasts/${id}/thumbnail?missing=204&v=${encodeURIComponent(version)}`;
  }

  /** Replaces the thumbnail, for the owner. */
  async putThumbnail(id: number, jpeg: Blob, ownerKey: string): Promise<void> {
    await request(`${this.base}/broadcasts/${id}/thumbnail`, {
      method: 'PUT',
      headers: { 'Content-Type': 'image/jpeg', Authorization: `Bearer ${ownerKey}` },
      body: jpeg,
    });
  }

  private async rows<T>(
    path: string,
    query: Readonly<Record<string, string | number | undefined>>,
    signal?: AbortSignal,
    bearer?: string,
  ): Promise<ListPage<T>> {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== '') parameters.set(name, String(value));
    }
    const response = await request(`${this.base}${path}?${parameters.toString()}`, {
      headers: {
        Accept: 'application/json',
        ...(bearer === undefined ? {} : { Authorization: `Bearer ${bearer}` }),
      },
      ...(signal ? { signal } : {}),
    });
    const rows = (await response.json()) as T[];
    // Its path and other parameters are those of this request.
    const link = linkTarget(headerLinks(response.headers.get('link')), 'next', 'http://any');
    return { rows, next: link === null ? null : new URL(link).searchParams.get('cursor') };
  }

  private async json<T>(
    method: string,
    path: string,
    options: {
      body?: unknown;
      bearer?: string | undefined;
      headers?: Record<string, string>;
      signal?: AbortSignal;
    },
  ): Promise<T> {
    const response = await request(this.base + path, {
      method,
      headers: {
        Accept: 'application/json',
        ...(options.body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...(options.bearer === undefined ? {} : { Authorization: `Bearer ${options.bearer}` }),
        ...options.headers,
      },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      ...(options.signal ? { signal: options.signal } : {}),
    });
    return (await response.json()) as T;
  }
}

/** Ids come from the addresses of pages, too: none may lead elsewhere. */
function groupPath(id: string): string {
  return `/groups/${encodeURIComponent(id)}`;
}

/** 128 random bits in hexadecimal. (`crypto.randomUUID` is missing on plain-HTTP pages.) */
export function randomKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
}
