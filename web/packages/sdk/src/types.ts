/** Bodies of the REST and STOMP interfaces, with the field names that travel. */

/** Status of a broadcast; CLOSED is final. */
export type Status = 'READY' | 'STREAMING' | 'CLOSED';

/** A broadcast as the meta service answers it. Times are RFC 3339 in UTC. */
export interface Broadcast {
  id: number;
  name: string;
  description: string;
  status: Status;
  viewer_count: number;
  started_at: string | null;
  ended_at: string | null;
  created_at: string;
  modified_at: string;
}

/** One ICE server in the shape of `RTCIceServer`. */
export interface IceServer {
  urls: string[];
  username?: string;
  credential?: string;
}

/** Answer to `GET /ice-servers`; `ttl` in seconds. */
export interface IceServers {
  ice_servers: IceServer[];
  ttl: number;
}

/** Answer to `POST /broadcasts`; a repeated Idempotency-Key gets the same keys. */
export interface CreatedBroadcast extends Broadcast {
  /** Publishes and does nothing else. */
  stream_key: string;
  /** Changes, closes and deletes the broadcast, and replaces its stream key. */
  owner_key: string;
  whip_url: string;
  whep_url: string;
  watch_url: string;
  ice_servers: IceServer[];
}

/** What an owner may change. */
export interface UpdateBroadcast {
  name?: string;
  description?: string;
  status?: 'CLOSED';
}

/** A right in a room. */
export type Grant = 'publish' | 'subscribe' | 'chat' | 'moderate';

/** Answer to a token request. */
export interface JoinToken {
  token: string;
  participant_id: string;
  grants: Grant[];
  expires_at: string;
}

/** What a publisher's media does. */
export type MediaState = 'live' | 'lost' | 'ended';

/** Where a track comes from. */
export type Source = 'camera' | 'microphone' | 'screen' | 'screen_audio';

/** A published track as viewers see it. */
export interface TrackInfo {
  id: string;
  owner: string;
  source: Source;
  codec: string;
  active: boolean;
}

/** Body of `/topic/-/broadcasts` and `/topic/-/broadcast/{id}`; a field that is not there is not known. */
export interface BroadcastState {
  id: number;
  status?: Status;
  name?: string;
  description?: string;
  started_at?: string;
  ended_at?: string;
  created_at?: string;
  modified_at?: string;
  /** It is no longer in the catalogue. */
  deleted?: boolean;
  viewer_count: number;
  media?: MediaState;
  tracks?: TrackInfo[];
}

/** Body of `/topic/-/presence/{room}`. */
export interface Presence {
  viewer_count: number;
  chatting: number;
}

/** One chat message; `at` in Unix milliseconds. */
export interface ChatMessage {
  type: 'message';
  seq: number;
  from: string;
  name: string;
  host: boolean;
  text: string;
  at: number;
  /** What its sender called it, if it did. */
  id?: string;
}

/** Messages that were dropped for a slow client. */
export interface ChatGap {
  type: 'gap';
  dropped: number;
}

/** Body of `/topic/-/chat/{room}`. */
export type ChatEvent = ChatMessage | ChatGap;

/** Why the server refused a message. */
export type RefusalReason = 'right' | 'rate' | 'state' | 'body' | 'full';

/** Body of `/user/queue/replies`: what became of a message of this connection. */
export type Reply =
  | { outcome: 'done'; request: string; seq?: number }
  | {
      outcome: 'refused';
      request?: string;
      destination: string;
      reason: RefusalReason;
      message: string;
      retry_after_ms?: number;
    };

/** Longest name or description, in characters. */
export const MAX_TEXT_CHARS = 255;
/** Longest chat message, in characters. */
export const MAX_CHAT_CHARS = 500;
/** Longest display name, in characters. */
export const MAX_NAME_CHARS = 64;
