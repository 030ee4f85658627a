import {
  type BoardCommand,
  type BoardDone,
  type BoardEvent,
  type BoardImage,
  type BoardRefused,
  type Signaling,
} from '@madang/sdk';

/** What became of something that was asked. */
export type Answer =
  | { done: true; board: BoardDone }
  | {
      done: false;
      /** `lost`: no answer came, and the server may have done it or not. `no`: it never will as it is. */
      kind: BoardRefused['type'] | 'right' | 'rate' | 'lost' | 'no';
      /** In the server's words. */
      message: string;
      retryAfterMs: number | null;
    };

/** A board as one update, or what of it was missing. */
export interface Whole {
  epoch: number;
  n: number;
  update: Uint8Array;
}

/** The server said no. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** The way to the server. */
export interface Wire {
  /** Whether there is a connection. */
  isConnected(): boolean;
  onConnected(listener: (is: boolean) => void): () => void;
  /** What happens on the board; after each connecting how it is. */
  onEvent(listener: (event: BoardEvent) => void): () => void;
  ask(command: BoardCommand): Promise<Answer>;
  show(presence: Extract<BoardCommand, { type: 'presence' }>): void;
  /** Rejects with {@link Refused}, or with another error where the server is not reached. */
  document(state: Uint8Array | null): Promise<Whole>;
  /** A large update. */
  post(as: BoardDone, update: Uint8Array): Promise<Answer>;
  upload(image: Blob): Promise<BoardImage>;
  imageUrl(id: string): string;
  close(): void;
}

export interface WireOptions {
  signaling: Signaling;
  /** The base URL of signaling's HTTP; empty for the page's own origin. */
  url: string;
  room: string;
  token?: () => Promise<string | undefined>;
}

/** A body that has not come by then will not come: 8 MiB over 1 Mbit/s take 70 s. */
const FETCH_MS = 180_000;

/** By STOMP and HTTP. */
export function connectWire({ signaling, url, room, token }: WireOptions): Wire {
  const base = `${url.replace(/\/$/, '')}/boards/${encodeURIComponent(room)}`;
  const ended = new AbortController();
  const offs: (() => void)[] = [];
  const call = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const own = await token?.();
    const headers = new Headers(init.headers);
    if (own !== undefined) headers.set('authorization', `Bearer ${own}`);
    const signal = AbortSignal.any([ended.signal, AbortSignal.timeout(FETCH_MS)]);
    return fetch(`${base}${path}`, { ...init, headers, signal, cache: 'no-store' });
  };
  return {
    isConnected: () => signaling.state === 'connected',
    onConnected: (listener) => {
      const off = signaling.on('state', (state) => listener(state === 'connected'));
      offs.push(off);
      return off;
    },
    onEvent: (listener) => {
      const off = signaling.onBoard(room, listener);
      offs.push(off);
      return off;
    },
    ask: async (command) => {
      const reply = await signaling.askBoard(room, command);
      if (reply === null) return lost('');
      if (reply.outcome === 'done')
        return reply.board === undefined ? lost('') : { done: true, board: reply.board };
      const retryAfterMs = reply.retry_after_ms ?? null;
      const other = reply.reason === 'right' || reply.reason === 'rate' ? reply.reason : 'no';
      // A broadcast that is over takes nothing more, as who has no right.
      const kind = reply.board?.type ?? (reply.reason === 'state' ? 'right' : other);
      return { done: false, kind, message: reply.message, retryAfterMs };
    },
    show: (presence) => signaling.showOnBoard(room, presence),
    document: async (state) => {
      const query = state === null ? '' : `?state=${base64url(state)}`;
      const response = await call(`/document${query}`);
      if (!response.ok) throw await refused(response);
      const number = (name: string): number => Number(response.headers.get(name));
      const update = new Uint8Array(await response.arrayBuffer());
      return { epoch: number('board-epoch'), n: number('board-n'), update };
    },
    post: async ({ epoch, client, holder }, update) => {
      try {
        const query = `?epoch=${epoch}&client=${client}&holder=${encodeURIComponent(holder)}`;
        const body = new Blob([update as BlobPart]);
        const response = await call(`/updates${query}`, { method: 'POST', body });
        if (response.ok) return { done: true, board: (await response.json()) as BoardDone };
        return await answerOf(response);
      } catch (error) {
        return lost(error instanceof Error ? error.message : '');
      }
    },
    upload: async (image) => {
      const response = await call('/images', { method: 'POST', body: image });
      if (!response.ok) throw await refused(response);
      return (await response.json()) as BoardImage;
    },
    imageUrl: (id) => `${base}/images/${encodeURIComponent(id)}`,
    close: () => {
      ended.abort();
      for (const off of offs) off();
    },
  };
}

function lost(message: string): Answer {
  return { done: false, kind: 'lost', message, retryAfterMs: null };
}

interface Problem {
  type?: string;
  title?: string;
  detail?: string;
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    return (await response.json()) as Problem;
  } catch {
    return {};
  }
}

async function refused(response: Response): Promise<Refused> {
  const { title, detail } = await problemOf(response);
  return new Refused(response.status, detail ?? title ?? response.statusText);
}

async function answerOf(response: Response): Promise<Answer> {
  const { type, title, detail } = await problemOf(response);
  const kind = type?.split('/').at(-1)?.replace('board-', '');
  const known = ['gap', 'epoch', 'client', 'full', 'barred'].find((own) => own === kind);
  const byStatus =
    response.status === 401 || response.status === 403
      ? 'right'
      : response.status === 429
        ? 'rate'
        : response.status >= 500 || response.status === 408
          ? 'away'
          : 'no';
  const seconds = Number(response.headers.get('retry-after'));
  return {
    done: false,
    kind: (known ?? byStatus) as BoardRefused['type'] | 'right' | 'rate' | 'no',
    message: detail ?? title ?? '',
    retryAfterMs: seconds > 0 ? seconds * 1_000 : null,
  };
}

function base64url(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
