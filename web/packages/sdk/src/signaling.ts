import { Client, type IMessage, ReconnectionTimeMode, type StompSubscription } from '@stomp/stompjs';
import { Answers } from './answers.js';
import { Backoff, sleep } from './backoff.js';
import { Emitter } from './emitter.js';
import { isReply, type Outcome, Replies } from './replies.js';
import type {
  BoardCommand,
  BoardEvent,
  BroadcastState,
  ChatEvent,
  ChatOrder,
  ChatSend,
  Presence,
  Reply,
  RoomCommand,
  RoomUpdate,
} from './types.js';

/** How the signaling connection stands. */
export type SignalingState = 'connecting' | 'connected' | 'lost' | 'closed';

/** What a signaling connection tells its owner. */
export interface SignalingEvents {
  state: SignalingState;
  /** The server ended the connection for this reason, in its own words. */
  error: string;
}

/** Settings of a {@link Signaling}. */
export interface SignalingOptions {
  /** `wss://.../streaming`; see {@link signalingUrl}. */
  url: string;
  /** The token of each connection; none for an anonymous one. Asked again until it can be had. */
  token?: () => Promise<string | undefined>;
}

/** The first new try comes within this time; each further one may take twice as long, up to the last bound. */
const FIRST_RETRY_MS = 5_000;
const LAST_RETRY_MS = 30_000;
/** A connection that held this long was a good one: the next loss is a first one again. */
const STABLE_MS = 10_000;
const HEART_BEAT_MS = 4_000;

interface Topic {
  destination: string;
  handle: (message: IMessage) => void;
  subscription: StompSubscription | null;
}

/** The WebSocket URL of signaling: the configured one, or `/streaming` of the page's origin. */
export function signalingUrl(
  configured: string,
  page: { protocol: string; host: string } = location,
): string {
  if (configured !== '') return configured;
  return `${page.protocol === 'https:' ? 'wss' : 'ws'}://${page.host}/streaming`;
}

/** The base URL of the HTTP of the same service: `https://host` for `wss://host/streaming`. */
export function signalingHttp(url: string): string {
  return url.replace(/^ws/, 'http').replace(/\/streaming\/?$/, '');
}

/** A STOMP connection that comes back by itself and subscribes again. */
export class Signaling extends Emitter<SignalingEvents> {
  private readonly client: Client;
  private readonly topics = new Set<Topic>();
  private readonly replies = new Replies();
  private readonly answers = new Answers();
  private readonly backoff = new Backoff(FIRST_RETRY_MS, LAST_RETRY_MS);
  private readonly left = new AbortController();
  private connectedAt: number | null = null;
  /** The wait before the next attempt. */
  private waiting: AbortController | null = null;
  private isHurried = false;
  private current: SignalingState = 'connecting';

  constructor(options: SignalingOptions) {
    super();
    this.client = new Client({
      brokerURL: options.url,
      // The wait is below: StompJS has none that is random.
      reconnectDelay: 1,
      reconnectTimeMode: ReconnectionTimeMode.LINEAR,
      heartbeatIncoming: HEART_BEAT_MS,
      heartbeatOutgoing: HEART_BEAT_MS,
      connectionTimeout: 10_000,
      // A connection over which nothing comes any more is dropped: nobody would answer a goodbye.
      discardWebsocketOnCommFailure: true,
      beforeConnect: async (client) => {
        client.connectHeaders = await this.admission(options.token);
      },
      onConnect: () => {
        this.connectedAt = performance.now();
        this.client.subscribe('/user/queue/replies', ({ body }) => {
          const reply = parseObject(body);
          if (reply === null || !isReply(reply)) return;
          this.replies.take(reply);
          this.answers.take(reply);
        });
        this.setState('connected');
        for (const topic of this.topics) this.attach(topic);
      },
      onStompError: (frame) => this.emit('error', frame.headers.message ?? ''),
      onWebSocketClose: () => {
        for (const topic of this.topics) topic.subscription = null;
        this.replies.loseAll();
        this.answers.loseAll();
        if (this.connectedAt !== null && performance.now() - this.connectedAt >= STABLE_MS)
          this.backoff.reset();
        this.connectedAt = null;
        if (this.current !== 'closed') this.setState('lost');
      },
    });
  }

  /** The state now. */
  get state(): SignalingState {
    return this.current;
  }

  /** Connects and stays connected. */
  start(): void {
    this.client.activate();
  }

  /**
   * The network is back, as somebody knows for sure: what is lost is sought at once, and an attempt that began before is
   * given up.
   */
  hurry(): void {
    if (this.current !== 'lost') return;
    this.isHurried = true;
    this.waiting?.abort();
    this.client.forceDisconnect();
  }

  /** Leaves for good. */
  async close(): Promise<void> {
    this.setState('closed');
    this.removeAllListeners();
    // What is still on its way is for nobody.
    this.topics.clear();
    this.left.abort();
    this.replies.loseAll();
    this.answers.loseAll();
    await this.client.deactivate();
  }

  /** Chat of a room: how it is, the last messages, then what comes. */
  onChat(room: string, listener: (event: ChatEvent) => void): () => void {
    return this.subscribe(`/topic/-/chat/${room}`, (body) => {
      if (isChatEvent(body)) listener(body);
    });
  }

  /** Who is in a room, the present numbers first. */
  onPresence(room: string, listener: (presence: Presence) => void): () => void {
    return this.subscribe(`/topic/-/presence/${room}`, (body) => {
      if (typeof body.viewer_count === 'number') listener(body as unknown as Presence);
    });
  }

  /** State of one broadcast, the present one first. */
  onBroadcast(id: number, listener: (state: BroadcastState) => void): () => void {
    return this.subscribe(`/topic/-/broadcast/${id}`, (body) => {
      if (typeof body.id === 'number') listener(body as unknown as BroadcastState);
    });
  }

  /** Changes of any broadcast. */
  onBroadcasts(listener: (state: BroadcastState) => void): () => void {
    return this.subscribe('/topic/-/broadcasts', (body) => {
      if (typeof body.id === 'number') listener(body as unknown as BroadcastState);
    });
  }

  /** State of the room of a call: a snapshot first, then what changes. */
  onRoom(room: string, listener: (update: RoomUpdate) => void): () => void {
    return this.subscribe(`/topic/-/room/${room}`, (body) => {
      if (body.type === 'snapshot' || body.type === 'delta') listener(body as unknown as RoomUpdate);
    });
  }

  /**
   * Sends a chat message and tells what became of it. Never rejects. A message that is sent again under its `id`, 128
   * random bits, is in the room once.
   */
  async sendChat(room: string, message: ChatSend): Promise<Outcome> {
    return this.send(`/app/-/chat/${room}`, message);
  }

  /** Asks something of a chat, beside sending a message, and tells what became of it. Never rejects. */
  async orderChat(room: string, order: ChatOrder): Promise<Outcome> {
    return this.send(`/app/-/chat/${room}`, order);
  }

  /**
   * Sends a command to the room of a call and tells what became of it. Never rejects. `request`, of 1 to 64 bytes, is
   * the same when a command is repeated, and otherwise another one for each command of this participant.
   */
  async command(room: string, command: RoomCommand, request: string): Promise<Outcome> {
    return this.send(`/app/-/room/${room}`, command, request);
  }

  /** What is drawn on the whiteboard of a room, and who is there; how it is first. */
  onBoard(room: string, listener: (event: BoardEvent) => void): () => void {
    return this.subscribe(`/topic/-/board/${room}`, (body) => {
      if (typeof body.type === 'string') listener(body as unknown as BoardEvent);
    });
  }

  /** Asks something of the whiteboard of a room. The server's answer; null if none came. Never rejects. */
  async askBoard(room: string, command: BoardCommand): Promise<Reply | null> {
    return this.answers.ask((request) => {
      if (!this.publish(`/app/-/board/${room}`, command, { 'request-id': request })) this.answers.loseAll();
    });
  }

  /** Shows something on the whiteboard of a room, if there is a connection. It is not answered. */
  showOnBoard(room: string, presence: Extract<BoardCommand, { type: 'presence' }>): void {
    this.publish(`/app/-/board/${room}`, presence, {});
  }

  private publish(destination: string, body: object, headers: Record<string, string>): boolean {
    if (!this.client.connected) return false;
    this.client.publish({ destination, headers, body: JSON.stringify(body) });
    return true;
  }

  private async send(destination: string, body: object, id?: string): Promise<Outcome> {
    return this.replies.ask((request) => {
      if (!this.client.connected) {
        this.replies.loseAll();
        return;
      }
      this.client.publish({
        destination,
        headers: { 'request-id': request },
        body: JSON.stringify(body),
      });
    }, id);
  }

  /**
   * The headers of the next connection, when it is time for it. Without a token that is to be had, there is none: the
   * server would take it for a guest's, and refuse for good what this person writes.
   */
  private async admission(ask: SignalingOptions['token']): Promise<Record<string, string>> {
    for (;;) {
      if (this.current === 'lost') await this.wait();
      if (this.current === 'closed') return {};
      try {
        const token = await ask?.();
        return token === undefined ? {} : { Authorization: `Bearer ${token}` };
      } catch {
        this.setState('lost');
      }
    }
  }

  private async wait(): Promise<void> {
    const waiting = new AbortController();
    this.waiting = waiting;
    if (!this.isHurried)
      await sleep(this.backoff.next(), AbortSignal.any([this.left.signal, waiting.signal])).catch(
        () => undefined,
      );
    this.isHurried = false;
    this.waiting = null;
  }

  private subscribe(destination: string, listener: (body: Record<string, unknown>) => void): () => void {
    const topic: Topic = {
      destination,
      subscription: null,
      handle: ({ body }) => {
        const parsed = this.topics.has(topic) ? parseObject(body) : null;
        if (parsed !== null) listener(parsed);
      },
    };
    this.topics.add(topic);
    if (this.client.connected) this.attach(topic);
    return () => {
      this.topics.delete(topic);
      if (this.client.connected) topic.subscription?.unsubscribe();
    };
  }

  private attach(topic: Topic): void {
    // One that was added while the owner heard of the connection has its subscription already.
    if (topic.subscription !== null) return;
    topic.subscription = this.client.subscribe(topic.destination, topic.handle);
  }

  private setState(state: SignalingState): void {
    // Closed is for good, whatever a connection or a token that was on its way still brings.
    if (state === this.current || this.current === 'closed') return;
    this.current = state;
    this.emit('state', state);
  }
}

function parseObject(body: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** Whether a body is an event of a chat; one of a later release that is not known here is none. */
function isChatEvent(body: object): body is ChatEvent {
  const event = body as Record<string, unknown>;
  const has = (type: 'number' | 'string' | 'object', ...names: string[]): boolean =>
    names.every((name) => typeof event[name] === type && event[name] !== null);
  switch (event.type) {
    case 'message':
      return has('number', 'seq', 'at') && has('string', 'text', 'from', 'name');
    case 'open':
      return has('number', 'epoch', 'last') && has('object', 'settings', 'you');
    case 'edited':
      return has('number', 'seq', 'edited_at') && has('string', 'text');
    case 'deleted':
      return has('number', 'seq');
    case 'deleted_from':
      return has('string', 'from');
    case 'settings':
      return has('object', 'settings');
    case 'sanction':
      return has('string', 'kind');
    case 'gap':
      return has('number', 'dropped');
    default:
      return false;
  }
}
