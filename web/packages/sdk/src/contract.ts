/** Bodies of the REST and STOMP interfaces. Made from `crates/contract` by `make types`: do not edit. */
export const BOARD_PRESENCE_RATE = 20;
export const CALL_CHANNEL = '-/call';
export const CHAT_EDIT_SECS = 900;
export const CHAT_HISTORY = 100;
export const MAX_BOARD_FRAME = 32768;
export const MAX_BOARD_IMAGE = 5242880;
export const MAX_BOARD_PRESENCE = 8192;
export const MAX_BOARD_UPDATE = 1048576;
export const MAX_CHAT_CHARS = 500;
export const MAX_FOLLOWERS_MINUTES = 43200;
export const MAX_NAME_CHARS = 64;
export const MAX_QUOTE_CHARS = 100;
export const MAX_REASON_CHARS = 200;
export const MAX_SLOW_SECS = 600;
export const MAX_TEXT_CHARS = 255;
export const MAX_TIMEOUT_SECS = 1209600;
export const MAX_WANTS = 64;

/** Who gets a join token of a group. */
export type Admission = 'link' | 'key';

/** Id of one joined member of a room. */
export type ParticipantId = string;

/** What is sent to `/app/-/board/{room}`. */
export type BoardCommand =
  | {
      /**
       * The id that this page drew under before: it gets the same again if it is this person's. Whatever other
       * connection draws under it has it no more.
       */
      client?: number;
      /** The document that `client` is of. */
      epoch?: number;
      type: 'open';
    }
  | {
      /** The id that this connection got. */
      client: number;
      /** The document. */
      epoch: number;
      type: 'update';
      /** The update in base64: [`MAX_BOARD_FRAME`] bytes at most. */
      update: string;
    }
  | {
      /** The id that this connection got. */
      client: number;
      /** Whatever the pages agree on, of at most [`MAX_BOARD_PRESENCE`] bytes. */
      state: {
        [k: string]: unknown;
      };
      type: 'presence';
    };

/** What `/topic/-/board/{room}` carries. */
export type BoardEvent =
  | {
      /** The document. */
      epoch: number;
      /** Whether this reader may draw. */
      may_draw: boolean;
      /** The number of its last update. */
      n: number;
      /** Not much more fits. */
      nearly_full: boolean;
      /** About how many bytes it has. */
      size: number;
      type: 'open';
    }
  | {
      type: 'away';
    }
  | {
      /** Who drew: the id of the connection. */
      client: number;
      /** The document. */
      epoch: number;
      /** Who drew: the person. */
      from: string;
      /** Rises by one within an epoch. */
      n: number;
      type: 'update';
      /** The update in base64; absent where it is larger than [`MAX_BOARD_FRAME`]: it is fetched by HTTP. */
      update?: string;
    }
  | {
      /** How many messages. */
      dropped: number;
      type: 'gap';
    }
  | {
      /** The id of the connection. */
      client: number;
      /** The person. */
      from: string;
      /** Display name, may be empty. */
      name: string;
      /** As it was sent. */
      state: {
        [k: string]: unknown;
      };
      type: 'presence';
    }
  | {
      /** Its id. */
      client: number;
      type: 'left';
    }
  | {
      /** The document. */
      epoch: number;
      type: 'epoch';
    }
  | {
      /** Not much more fits. */
      nearly_full: boolean;
      type: 'full';
    }
  | {
      /** It may. */
      may_draw: boolean;
      type: 'rights';
    };

/** The part of [`crate::destination::Reply::Refused`] by which a page knows what to do about a board. */
export type BoardRefused =
  | {
      /** How many operations of this id the board has. */
      has: number;
      type: 'gap';
    }
  | {
      /** Which. */
      epoch: number;
      type: 'epoch';
    }
  | {
      type: 'client';
    }
  | {
      type: 'full';
    }
  | {
      type: 'barred';
    }
  | {
      type: 'away';
    };

/** What a slot is for. */
export type SlotKind = 'tile' | 'stage' | 'screen' | 'voice' | 'screen_audio';

/** Why a wanted source is in no slot. */
export type WhyMissing = 'absent' | 'slots' | 'kind' | 'codec' | 'line';

/**
 * Id of a broadcast: a positive integer, at most 2^53 - 1 so that JavaScript holds it exactly. Its text has one
 * form: `01` is no id, so nothing else can stand for broadcast 1.
 */
export type BroadcastId = number;

/** Status of a broadcast. It only moves forward, and back from nothing: CLOSED is final. */
export type Status = 'READY' | 'STREAMING' | 'CLOSED';

/** What a publisher's media does. */
export type MediaState = 'live' | 'lost' | 'ended';

/** Id of a published track. */
export type TrackId = string;

/** Where a track comes from (C4). */
export type Source = 'camera' | 'microphone' | 'screen' | 'screen_audio';

/** What the server says on [`CALL_CHANNEL`]: one object a message. */
export type CallEvent =
  | (Bound & {
      type: 'bound';
    })
  | (EncodingsWanted & {
      type: 'encodings';
    })
  | (Speakers & {
      type: 'speakers';
    })
  | (Pictures & {
      type: 'pictures';
    });

/**
 * A codec of pictures in calls. The publish answer may take several for one m-line: the first is sent until a choice is
 * told.
 */
export type PictureCodec = 'VP8' | 'H264';

/** Kinds of [`ChatSanction`]. */
export type SanctionKind = 'timeout' | 'ban' | 'lifted';

/** What a client sends to `/app/-/chat/{room}`: a message, which needs no `type`, or an order. */
export type ChatCommand = ChatOrder | ChatSend;

/** What a client asks of a chat beside sending a message. Those from [`ChatOrder::Timeout`] on are the moderators'. */
export type ChatOrder =
  | {
      /** Its number. */
      seq: number;
      /** The new text: 1 to [`MAX_CHAT_CHARS`] characters. */
      text: string;
      type: 'edit';
    }
  | {
      /** Its number. */
      seq: number;
      type: 'delete';
    }
  | {
      /** Only messages below this number. */
      before: number;
      /** At most so many: 1 to [`CHAT_HISTORY`], which it is where absent. */
      limit?: number;
      type: 'history';
    }
  | {
      /** The person. */
      person?: string;
      /** Why, for the person: at most [`MAX_REASON_CHARS`] characters. */
      reason?: string;
      /** For how long: 1 to [`MAX_TIMEOUT_SECS`]. */
      seconds: number;
      /** A message of the person. */
      seq?: number;
      type: 'timeout';
    }
  | {
      /** Also whoever else comes from the person's address (IPv6: its /64), moderators apart. */
      address?: boolean;
      /** Also deletes what the person has written in the room. */
      delete?: boolean;
      /** The person. */
      person?: string;
      /** Why, for the person: at most [`MAX_REASON_CHARS`] characters. */
      reason?: string;
      /** A message of the person. */
      seq?: number;
      type: 'ban';
    }
  | {
      /** The person, as [`ChatBan::person`] names it. */
      person: string;
      type: 'unban';
    }
  | {
      type: 'bans';
    }
  | {
      /** 0 to [`MAX_SLOW_SECS`]. */
      seconds: number;
      type: 'slow';
    }
  | {
      /** 0 to [`MAX_FOLLOWERS_MINUTES`]; `null` is off. */
      minutes: number | null;
      type: 'followers';
    }
  | {
      /** Its number; `null` takes the pin away. */
      seq: number | null;
      type: 'pin';
    };

/** What `/topic/-/chat/{room}` carries. */
export type ChatEvent =
  | {
      /** Another one only where the numbering was lost: what was kept of an earlier epoch is of no use any more. */
      epoch: number;
      /** The highest number so far; 0 where there was no message. */
      last: number;
      /** The pinned message. */
      pinned?: ChatMessage;
      /** What holds for everybody. */
      settings: ChatSettings;
      type: 'open';
      /** What this reader is. */
      you: ChatYou;
    }
  | (ChatMessage & {
      type: 'message';
    })
  | {
      /** When, Unix milliseconds. */
      edited_at: number;
      /** Its number. */
      seq: number;
      /** The new text. */
      text: string;
      type: 'edited';
    }
  | {
      /** Who did it. */
      by: DeletedBy;
      /** Its number. */
      seq: number;
      type: 'deleted';
    }
  | {
      /** Who did it. */
      by: DeletedBy;
      /** `from` of the messages. */
      from: string;
      type: 'deleted_from';
    }
  | {
      /** The pinned message. */
      pinned?: ChatMessage;
      /** The settings. */
      settings: ChatSettings;
      type: 'settings';
    }
  | (ChatSanction & {
      type: 'sanction';
    })
  | {
      /** How many. */
      dropped: number;
      type: 'gap';
    };

/** Who deleted something. */
export type DeletedBy = 'author' | 'moderator';

/** Answer to `POST /broadcasts`. A repeated Idempotency-Key gets the same broadcast with the same keys. */
export type CreatedBroadcast = Broadcast & {
  /** STUN and TURN servers with time-limited credentials. */
  ice_servers: IceServer[];
  /**
   * Changes, closes and deletes the broadcast, replaces its stream key and mints tokens of its hosts. Shown this
   * once.
   */
  owner_key: string;
  /** Publishes, and nothing else: it stands in an encoder. Shown this once. */
  stream_key: string;
  /** The page to share. */
  watch_url: string;
  /** Where to play (WHEP). */
  whep_url: string;
  /** Where to publish (WHIP, with the key as bearer). */
  whip_url: string;
};

/** Answer to `POST /groups`. A repeated Idempotency-Key gets the same group with the same key. */
export type CreatedGroup = Group & {
  /** The page to share. */
  call_url: string;
  /** The key that changes and deletes it and mints its tokens, moderators' too. Shown this once. */
  owner_key: string;
};

/** Id of a group call. */
export type GroupId = string;

/** Why somebody is gone. */
export type WhyGone = 'left' | 'lost' | 'removed';

/**
 * What the holder of a join token may do in its room. A reader of tokens ignores grants that it does not know, so that
 * those of a later release admit here as far as they are understood.
 */
export type Grant =
  | 'publish'
  | 'publish_camera'
  | 'publish_microphone'
  | 'publish_screen'
  | 'subscribe'
  | 'chat'
  | 'draw'
  | 'moderate';

/** Id of a WHIP or WHEP session; it is the secret part of the session URL. */
export type SessionId = string;

/** How good somebody's connection is. */
export type Quality = 'good' | 'fair' | 'poor' | 'lost';

/**
 * Something that a person may do in a room. The grants of its join token are the first ones; moderators give more and
 * take them back.
 */
export type Right = 'camera' | 'microphone' | 'screen' | 'chat' | 'draw' | 'moderate';

/** What a source does. */
export type SourceState = 'on' | 'off' | 'muted';

/** What is in the way of a section's picture. */
export type Obstacle = 'codec' | 'line';

/** What somebody shows for a moment. */
export type ReactionKind = 'like' | 'dislike' | 'applause' | 'heart' | 'laugh' | 'surprise' | 'sad' | 'party';

/** Why a message was refused. */
export type Reason = 'right' | 'rate' | 'state' | 'body' | 'full';

/** What `/user/queue/replies` carries: what became of a message that this connection sent. */
export type Reply =
  | {
      /** Who may not write in the chat. */
      bans?: ChatBan[];
      /** Under which id the whiteboard is drawn on, and what of it is stored. */
      board?: BoardDone;
      /** The messages that were asked for. */
      history?: ChatHistory;
      outcome: 'done';
      /** The request id. */
      request: string;
      /** The number that a chat message got in its room. */
      seq?: number;
    }
  | {
      /** What is to be done about the whiteboard that it was about. */
      board?: BoardRefused;
      /** Where the message was to go. */
      destination: string;
      /** The reason in words, for people. */
      message: string;
      outcome: 'refused';
      /** What kind of reason. */
      reason: Reason;
      /** The request id, if there was one. */
      request?: string;
      /** After this many milliseconds the same message may be within the rate. */
      retry_after_ms?: number;
    };

/**
 * What a participant sends to `/app/-/room/{room}`. To repeat one with its request-id does no harm: it is answered the
 * same, and done once.
 */
export type RoomCommand =
  | {
      /** On, which needs the right to it, or off. */
      on: boolean;
      /** Which. */
      source: Source;
      type: 'switch';
    }
  | {
      /** Not empty, at most [`crate::call::MAX_DISPLAY_NAME_CHARS`]. */
      name: string;
      type: 'rename';
    }
  | {
      /** Whose, if not one's own: moderators take hands down. */
      participant?: ParticipantId;
      type: 'hand';
      /** Up or down. */
      up: boolean;
    }
  | {
      /** Which. */
      reaction: ReactionKind;
      type: 'react';
    }
  | {
      /** Whose. */
      participant: ParticipantId;
      /** Which. */
      source: Source;
      type: 'mute';
    }
  | {
      /** Who. */
      participant: ParticipantId;
      type: 'remove';
    }
  | {
      /** Locked or open. */
      on: boolean;
      type: 'lock';
    }
  | {
      /** To whom. */
      participant: ParticipantId;
      /** Which. */
      right: Right;
      type: 'grant';
    }
  | {
      /** Whose. */
      participant: ParticipantId;
      /** Which. */
      right: Right;
      type: 'revoke';
    };

/** What `/topic/-/room/{room}` carries. */
export type RoomUpdate =
  | (RoomSnapshot & {
      type: 'snapshot';
    })
  | (RoomDelta & {
      type: 'delta';
    });

/** What a slot shows. */
export interface Binding {
  /**
   * The RTP timestamp of the first packet that shows it; none until there was one. Until then the slot shows what it
   * showed before, or nothing: keep it covered.
   */
  from?: number;
  /** The slot: `a=mid` of the receive connection. */
  mid: string;
  /** Whose source that is. */
  participant: ParticipantId;
  /** The source: the CSRC of its packets. */
  source: number;
}

/** The part of [`crate::destination::Reply::Done`] that is about a board. */
export interface BoardDone {
  /** The id under which the connection draws. */
  client: number;
  /** The document. */
  epoch: number;
  /** How many operations of that id the board has: the page goes on from there. */
  has: number;
  /** Shows with an update by HTTP that it comes from who holds the id. */
  holder: string;
}

/** Answer to `POST /boards/{room}/images`. */
export interface BoardImage {
  /** Pixels. */
  height: number;
  /** Its name, which nobody can guess. */
  id: string;
  /** Where it is, relative to signaling's own address. */
  url: string;
  /** Pixels. */
  width: number;
}

/** Which slot shows what: the whole of it. The latest generation counts. */
export interface Bound {
  /** Counts what the server has said in this session. */
  generation: number;
  /** What was wanted and is in no slot. */
  missing?: MissingSource[];
  /** The slots that show something, or will; those that are not named show nothing. */
  slots: Binding[];
  /** The generation of the [`Wants`] that this follows. */
  wants: number;
}

/** A source that was wanted and is in no slot. */
export interface MissingSource {
  /** In which kind of slot it was wanted. */
  slot: SlotKind;
  /** The source. */
  source: number;
  /** Why it is in no slot. */
  why: WhyMissing;
}

/** A broadcast (L7). */
export interface Broadcast {
  /** Created. */
  created_at: string;
  /** At most 255 characters, may be empty. */
  description: string;
  /** Last media of a closed broadcast. */
  ended_at: string | null;
  /** Its id, a JSON number. */
  id: BroadcastId;
  /** Last change of what an owner edits or of the status. */
  modified_at: string;
  /** Title, at most 255 characters, may be empty. */
  name: string;
  /** When its owner means to begin; absent where there is no plan. */
  planned_at?: string;
  /** First media. */
  started_at: string | null;
  /** READY, STREAMING or CLOSED. */
  status: Status;
  /** Viewers now. */
  viewer_count: number;
}

/**
 * What `/topic/-/broadcast/{id}` and `/topic/-/broadcasts` carry; a new subscriber of the former gets the
 * latest at once.
 */
export interface BroadcastState {
  /** Created. */
  created_at?: string;
  /** It is no longer in the catalogue. */
  deleted?: boolean;
  /** Description. */
  description?: string;
  /** Last media of a closed broadcast: nobody has to ask for it when the broadcast closes. */
  ended_at?: string;
  /** The broadcast. */
  id: BroadcastId;
  /** Whether the publisher's media arrives, if an SFU says so. */
  media?: MediaState;
  /** Last change of what an owner edits or of the status. */
  modified_at?: string;
  /** Title. */
  name?: string;
  /** When its owner means to begin; absent with the others where there is no plan. */
  planned_at?: string;
  /** First media, once there was some. */
  started_at?: string;
  /** Status, if known yet. */
  status?: Status;
  /** The published tracks (left out of `/topic/-/broadcasts`). */
  tracks?: TrackInfo[];
  /** Viewers now. */
  viewer_count: number;
}

/** A published track as viewers see it. */
export interface TrackInfo {
  /** Media arrived within the last second. */
  active: boolean;
  /** Codec name as in SDP: `opus`, `VP8`, `VP9`, `H264`, `AV1`. */
  codec: string;
  /** Its id: also the track id in the msid that viewers get. */
  id: TrackId;
  /** Whose it is: also the stream id in that msid. */
  owner: ParticipantId;
  /** Camera, microphone, screen or screen audio. */
  source: Source;
}

/**
 * Data of the event [`ENCODINGS_EVENT`]: what a publisher is asked to send. An encoding that nobody watches may be
 * switched off until it is wanted again.
 */
export interface EncodingsWanted {
  /** The sections that are sent in several encodings. */
  media: MediaEncodings[];
}

/** One section of a publisher. */
export interface MediaEncodings {
  /** Its encodings. */
  encodings: EncodingWanted[];
  /** Its `a=mid`. */
  mediaId: string;
}

/** One encoding of a publisher. */
export interface EncodingWanted {
  /** The rid. */
  encodingId: string;
  /** Whether anybody watches it. */
  wanted: boolean;
}

/** Who speaks now: the whole of it. The latest counts. */
export interface Speakers {
  /**
   * The microphones at which somebody speaks, by their `csrc`: said 100 ms after somebody begins, and not any more
   * 600 ms after the last word. At most [`MAX_SPEAKING`].
   */
  speaking: number[];
  /**
   * The microphone of who speaks mainly, for the stage. Another one comes after two seconds at the earliest, and nobody
   * only where that one is muted or gone.
   */
  stage?: number;
}

/**
 * In which codec to send one's pictures from now on: the one of those agreed to that everybody in the room decodes. The
 * latest counts. A publisher that cannot change it goes on as before: everybody decodes the first one of the answer.
 */
export interface Pictures {
  /** The codec. */
  codec: PictureCodec;
}

/** Somebody in a room, as media sees it. */
export interface CallPerson {
  /** Display name, may be empty. */
  name: string;
  /** Who. */
  participant: ParticipantId;
  /** What it can publish. */
  sources: CallSource[];
}

/** A source that somebody publishes. */
export interface CallSource {
  /** Its number, unique in the room and the same after a resume: the CSRC of its packets. */
  csrc: number;
  /** What it is. */
  source: Source;
}

/** Somebody who may not write in a chat. */
export interface ChatBan {
  /** It holds for the person's address too. */
  address: boolean;
  /** When, Unix milliseconds. */
  at: number;
  /** Display name or id of the moderator. */
  by: string;
  /** `timeout` or `ban`. */
  kind: SanctionKind;
  /** Display name when it was done; empty where it was not known. */
  name: string;
  /** What [`ChatOrder::Unban`] calls it. */
  person: string;
  /** Why, in the moderator's words. */
  reason?: string;
  /** When it ends, Unix milliseconds; absent where it does not end by itself. */
  until?: number;
}

/** A message to a chat. */
export interface ChatSend {
  /**
   * What the sender calls the message: 128 random bits, of a length in [`CHAT_ID_BYTES`]. A message that is sent
   * again under the same id, because no answer came, is in the room once.
   */
  id?: string;
  /** Guest name, ignored where the token carries a name. */
  name?: string;
  /** Number of the message that this one answers. */
  reply_to?: number;
  /** 1 to [`MAX_CHAT_CHARS`] characters. */
  text: string;
  /** Who alone gets it: a participant of the call. Only in rooms of groups. */
  to?: string;
}

/** A message of a chat, as it is now. */
export interface ChatMessage {
  /** When the server took it, Unix milliseconds. */
  at: number;
  /** It was deleted: its place stays, its text does not. */
  deleted?: boolean;
  /** When its author changed it last, Unix milliseconds. */
  edited_at?: number;
  /** The sender's subject, or the connection of a guest without a token. */
  from: string;
  /** The sender holds `publish` or `moderate` in the room. */
  host: boolean;
  /** What the sender called it, if it did. */
  id?: string;
  /** Display name. */
  name: string;
  /** What it answers. */
  reply_to?: ChatQuote;
  /** Rises with every message of the room, public or direct. */
  seq: number;
  /** The text; empty where the message was deleted. */
  text: string;
  /** Whom alone it is for: a direct message. */
  to?: ChatPerson;
}

/** The message that another one answers, as it was when this was sent out. */
export interface ChatQuote {
  /** It was deleted, or is no longer kept. */
  deleted?: boolean;
  /** Its author; empty where the message is no longer kept. */
  from: string;
  /** Its author's display name; empty where the message is no longer kept. */
  name: string;
  /** Its number. */
  seq: number;
  /** The first [`MAX_QUOTE_CHARS`] characters of its text; empty where it was deleted or is no longer kept. */
  text: string;
}

/** Who wrote a message, or whom it is for. */
export interface ChatPerson {
  /** The subject of its token, or the connection of a guest without one. */
  id: string;
  /** Display name. */
  name: string;
}

/** What holds for everybody in a chat. */
export interface ChatSettings {
  /** Minutes that a person has to be known in the room before it writes, moderators apart; absent is off. */
  followers_minutes?: number;
  /** Seconds between two messages of a person, moderators apart; 0 is off. */
  slow_seconds: number;
}

/** What the reader of a chat is in it. */
export interface ChatYou {
  /** `from` of one's own messages. */
  id: string;
  /** May delete, time out, ban, pin and change the settings. */
  moderator: boolean;
  /** What keeps one from writing, if something does. */
  sanction?: ChatSanction;
}

/** What keeps a person from writing, or that nothing does any more. */
export interface ChatSanction {
  /** Which. */
  kind: SanctionKind;
  /** Why, in the moderator's words. */
  reason?: string;
  /** When it ends, Unix milliseconds; absent where it does not end by itself. */
  until?: number;
}

/** A page of a chat's history. */
export interface ChatHistory {
  /** Oldest first, as they are now. */
  messages: ChatMessage[];
  /** There are older ones. */
  more: boolean;
}

/** Body of `POST /broadcasts`. Name and description must be there; both may be empty. */
export interface CreateBroadcast {
  /** Description. */
  description: string;
  /** Title. */
  name: string;
  /**
   * When it is to begin: not more than a day ago and at most 366 days ahead. One with such a time waits for its
   * media until a day after it.
   */
  planned_at?: string;
}

/** Body of `POST /groups`. */
export interface CreateGroup {
  /** Who gets a join token; `link` where it is absent. */
  admission?: Admission;
  /** People in its room at the same time; 100 where it is absent. */
  max_participants?: number;
  /** What an application keeps with it: at most 4,096 bytes and 8 levels. */
  metadata?: Metadata;
  /** Title, may be empty. */
  name?: string;
}

/** What an application keeps with it: at most 4,096 bytes and 8 levels */
export interface Metadata {
  [k: string]: unknown;
}

/** One ICE server in the shape of `RTCIceServer`. */
export interface IceServer {
  /** Password for TURN. */
  credential?: string;
  /** `stun:host:port`, `turn:host:port?transport=udp`, ... */
  urls: string[];
  /** `expiry:user` for TURN. */
  username?: string;
}

/** A group (G2); it may be empty. */
export interface Group {
  /** Who gets a join token. */
  admission: Admission;
  /** Created. */
  created_at: string;
  /** Its id. */
  id: GroupId;
  /** People in its room at the same time. */
  max_participants: number;
  /** What an application keeps with it. */
  metadata: Metadata;
  /** Last change. */
  modified_at: string;
  /** Title, at most 255 characters, may be empty. */
  name: string;
}

/** What is sent now. */
export interface CurrentLayer {
  /** The rid; none without simulcast. */
  encodingId?: string;
  /** The highest temporal layer that is sent. */
  temporalLayerId?: number;
}

/** One encoding of a publisher. */
export interface EncodingLayer {
  /** Whether it flows. */
  active: boolean;
  /** Bits per second, measured over the last second or so. */
  bitrate: number;
  /** The rid; none without simulcast. */
  encodingId?: string;
  /** Pixels, once a keyframe has shown them. */
  height?: number;
  /** Pixels, once a keyframe has shown them. */
  width?: number;
}

/** Somebody is gone. */
export interface Gone {
  /** Who. */
  participant: ParticipantId;
  /** Why. */
  why: WhyGone;
}

/**
 * `POST /internal/events` of signaling, for a group: meta announces a change or the end of it. `/topic/-/group/{id}`
 * carries it as it is.
 */
export interface GroupChanged {
  /** It is no longer there. */
  deleted?: boolean;
  /** The group as it is now, or as it was last. */
  group: Group;
  /** Rises with every change of this group: of two announcements the higher one is the later. */
  version: number;
}

/** ICE credentials of one side, of a restart (RFC 8445, section 9). */
export interface IceRestart {
  /** `a=ice-pwd`. */
  pwd: string;
  /** `a=ice-ufrag`. */
  ufrag: string;
}

/** Answer to `GET /ice-servers`. */
export interface IceServers {
  /** The servers. */
  ice_servers: IceServer[];
  /** Seconds until the credentials end; renew before. */
  ttl: number;
}

/** Body of `POST /rooms/{group}/sessions`, with a join token of that room as bearer. */
export interface JoinCall {
  /** Display name; ignored where the token carries a name. */
  name?: string;
  /** What is published; none for who only watches. */
  publish?: PublishOffer;
  /** What is received; none for who only publishes. */
  receive?: ReceiveOffer;
  /**
   * The secret of a session that was lost, at most [`RESUME_SECS`] ago: it goes on, as the same participant with the
   * same `csrc` for each source, and keeps its secret. The bearer is then not asked for. To repeat a resume whose
   * answer was lost does no harm.
   */
  resume?: SessionId;
  /** The first wants. */
  wants?: Wants;
}

/** The offer of the publish connection. */
export interface PublishOffer {
  /** Its SDP. */
  sdp: string;
  /**
   * Which m-line is which source. An m-line that is not named is rejected in the answer.
   *
   * @maxItems 4
   */
  sources:
    | []
    | [OfferedSource]
    | [OfferedSource, OfferedSource]
    | [OfferedSource, OfferedSource, OfferedSource]
    | [OfferedSource, OfferedSource, OfferedSource, OfferedSource];
}

/** One m-line of a publish connection. */
export interface OfferedSource {
  /** Its `a=mid`. */
  mid: string;
  /** What it will carry. Each source at most once. */
  source: Source;
}

/** The offer of the receive connection. */
export interface ReceiveOffer {
  /** Its SDP. */
  sdp: string;
  /**
   * Which m-line is which kind of slot. An m-line that is not named is rejected in the answer.
   *
   * @maxItems 24
   */
  slots: OfferedSlot[];
}

/** One m-line of a receive connection. */
export interface OfferedSlot {
  /** What it is for. */
  kind: SlotKind;
  /** Its `a=mid`. */
  mid: string;
}

/**
 * What a page wants to see: the whole of it; a later generation replaces an earlier one, and of two that cross the
 * greater holds. On [`CALL_CHANNEL`] this object is a message of its own.
 */
export interface Wants {
  /** Counts what the page has said in this session, resumed ones included; it only grows. */
  generation: number;
  /**
   * The most wanted first, among those of one priority. What is named twice for one kind of slot counts once.
   *
   * @maxItems 64
   */
  sources: Want[];
}

/** A picture, or the sound of a screen. Voices are not wanted: the server chooses them. */
export interface Want {
  /** How high it is shown, in physical pixels: nothing is sent that is much larger. 0 is any height. */
  height?: number;
  /** It keeps its slot and quality before all others. */
  pinned?: boolean;
  /** Greater goes first, for slots and for bandwidth. */
  priority?: number;
  /** In which kind of slot. */
  slot: SlotKind;
  /** The `csrc` of a [`CallSource`]. One that is not there, or not yet, takes no slot. */
  source: number;
}

/** Answer to a token request. */
export interface JoinToken {
  /** When it ends. */
  expires_at: string;
  /** Its rights. */
  grants: Grant[];
  /** The subject that it names. */
  participant_id: ParticipantId;
  /** The token, for `Authorization: Bearer` and the STOMP CONNECT header `Authorization`. */
  token: string;
}

/** Answer to [`JoinCall`]. */
export interface JoinedCall {
  /** The first bindings. */
  bound: Bound;
  /** STUN and TURN servers with time-limited credentials. */
  ice_servers: IceServer[];
  /** Who one is in the room: the subject of the join token. */
  participant: ParticipantId;
  /** Who else is there, with what they publish. */
  people: CallPerson[];
  /** In which codec to send one's pictures, where the publish answer leaves a choice; see [`Pictures`]. */
  pictures?: PictureCodec;
  /** The answer to the publish offer, if there was one. */
  publish_sdp?: string;
  /** The answer to the receive offer, if there was one. */
  receive_sdp?: string;
  /** How long a lost session may be resumed, in seconds. */
  resume_secs: number;
  /**
   * The state of the room, to which `/topic/-/room/{room}` brings the changes. The caller itself may come with the next
   * one.
   */
  room: RoomSnapshot;
  /** The secret of the session: it ends the URL of the session, and resumes it. */
  session: SessionId;
  /** One's own sources, as others see them. */
  sources: CallSource[];
}

/** The whole state of a room. */
export interface RoomSnapshot {
  /** Grows whenever the state begins anew; a greater one counts. */
  epoch: number;
  /** Nobody new comes in but moderators. */
  locked: boolean;
  /** Who is there, by participant id. */
  people: Person[];
  /** The last delta that is in it. */
  seq: number;
}

/** Somebody in a room. */
export interface Person {
  /** 0: its hand is down. Hands in the order of this number are in the order in which they were raised. */
  hand?: number;
  /** Runs the room by its own token: moderators who were made so in the room cannot remove it or take its rights. */
  host?: boolean;
  /** Display name, may be empty. */
  name: string;
  /** People in the order of this number are in the order in which they came. */
  order: number;
  /** Who. */
  participant: ParticipantId;
  /** How good its connection is. */
  quality: Quality;
  /** What it may do. */
  rights: Right[];
  /** What it publishes. */
  sources: PersonSource[];
}

/** A source of a person. */
export interface PersonSource {
  /** The CSRC of its packets, unique in the room. */
  csrc: number;
  /** Camera, microphone, screen or screen audio: each at most once. */
  source: Source;
  /** What it does. */
  state: SourceState;
}

/** Answer to GET and POST of `{session}/layer`. */
export interface LayerList {
  /** The video sections of the session that carry something. */
  media: MediaLayers[];
}

/** One video section of a viewer. */
export interface MediaLayers {
  current: CurrentLayer | null;
  /** What the publisher offers, in its order. */
  encodings: EncodingLayer[];
  /** Its `a=mid`. */
  mediaId: string;
  /** Why nothing is shown, or less than there is, where that is not by request. */
  obstacle?: Obstacle;
  /** Whether it was paused by request. */
  paused: boolean;
  /** What it shows. */
  source: Source;
  /** What was asked for; empty is the server's choice. */
  wanted: WantedLayer;
}

/** What was asked for. */
export interface WantedLayer {
  /** As in [`LayerRequest`]. */
  encodingId?: string;
  /** As in [`LayerRequest`]. */
  maxHeight?: number;
  /** As in [`LayerRequest`]. */
  maxTemporalLayerId?: number;
}

/**
 * `POST {session}/layer`: what a viewer wants to get. Without `encodingId` and `maxHeight` the server chooses: the
 * best that the line carries.
 */
export interface LayerRequest {
  /** The publisher's rid. */
  encodingId?: string;
  /** The best encoding that is not higher than this, in pixels. */
  maxHeight?: number;
  /** Highest temporal layer, 0 being the lowest frame rate. */
  maxTemporalLayerId?: number;
  /** The media section (`a=mid`) that is meant; none is every video section. */
  mediaId?: string;
  /** Whether the section gets nothing at all; none leaves that as it is. */
  paused?: boolean;
}

/** Answer to `POST /broadcasts/{id}/key`. */
export interface NewStreamKey {
  /** The key that replaces the old one, shown this once. */
  stream_key: string;
}

/** Body of PATCH of a session: any part of it. An ICE restart needs `If-Match` with the entity tag of the session. */
export interface PatchCall {
  /** The client's new ICE credentials of the publish connection. */
  publish?: IceRestart;
  /** The client's new ICE credentials of the receive connection. */
  receive?: IceRestart;
  /** What the page wants to see now. */
  wants?: Wants;
}

/** Answer to [`PatchCall`]. */
export interface PatchedCall {
  /** The bindings now. */
  bound: Bound;
  /** The server's new ICE credentials of the publish connection, if it was restarted. */
  publish?: IceRestart;
  /** Those of the receive connection, if it was restarted. */
  receive?: IceRestart;
}

/** What is different about somebody: what is absent is as it was. */
export interface PersonChange {
  /** [`Person::hand`]. */
  hand?: number;
  /** [`Person::host`]. */
  host?: boolean;
  /** [`Person::name`]. */
  name?: string;
  /** [`Person::order`]: it left and came back. */
  order?: number;
  /** Who. */
  participant: ParticipantId;
  /** [`Person::quality`]. */
  quality?: Quality;
  /** [`Person::rights`], all of them. */
  rights?: Right[];
  /** [`Person::sources`], all of them. */
  sources?: PersonSource[];
}

/**
 * What `/topic/-/presence/{room}` carries: a new subscriber gets it at once, then every change, at most one a
 * second.
 */
export interface Presence {
  /** People in the chat of the room: each once, of those behind one address a set number. */
  chatting: number;
  /** Viewers, as [`crate::rest::RoomReport`] counts them. */
  viewer_count: number;
}

/** A problem body. `type` is `about:blank` unless the code says more than the status. */
export interface Problem {
  /** What happened this time, in words that a person can act on. Never internals. */
  detail?: string;
  /** HTTP status code. */
  status: number;
  /** Short, the same for every occurrence of the kind. */
  title: string;
  /** A URI reference that names the kind of problem: `/problems/{code}` or `about:blank`. */
  type: string;
}

/** A reaction: passes, and is in no snapshot. */
export interface Reaction {
  /** Whose. */
  participant: ParticipantId;
  /** What. */
  reaction: ReactionKind;
}

/** Body of `POST /broadcasts/{id}/key`, which may be left out. */
export interface ReplaceStreamKey {
  /**
   * The stream key to replace, as the client knows it: of several who replace the same one, one succeeds and the
   * others get 409. Without it the key of the moment is replaced, by one person once in five seconds.
   */
  stream_key?: string;
}

/** What changed from `seq - 1` to `seq`. */
export interface RoomDelta {
  /** Who changed. */
  changed?: PersonChange[];
  /** [`RoomSnapshot::epoch`]. */
  epoch: number;
  /** Who is gone. */
  gone?: Gone[];
  /** Who is new. */
  joined?: Person[];
  /** [`RoomSnapshot::locked`]. */
  locked?: boolean;
  /** Reactions, oldest first. */
  reactions?: Reaction[];
  /** Its number: one more than that of the state that it changes. */
  seq: number;
}

/**
 * Body of `POST /broadcasts/{id}/token` and `POST /groups/{id}/token`. An empty object asks for what anyone gets: of a
 * broadcast subscribe and chat, of a group what a participant has ([`Grant::PARTICIPANT`]).
 */
export interface TokenRequest {
  /**
   * Wanted rights; absent means what anyone gets, and for the owner of a group `moderate` as well. More needs the
   * owner key or an admin token.
   *
   * @minItems 1
   */
  grants?: [Grant, ...Grant[]];
  /** Display name that chat shows, at most 64 characters. */
  name?: string;
}

/**
 * Body of `PUT /broadcasts/{id}`: a field that is not there stays as it is. The owner and admins may set `name`,
 * `description`, `planned_at` and `status: CLOSED`; service tokens may set everything.
 */
export interface UpdateBroadcast {
  /** Description. */
  description?: string;
  /** Last media. */
  ended_at?: string;
  /** Title. */
  name?: string;
  /** When it is to begin, as in [`CreateBroadcast`]; `null` takes the plan back. */
  planned_at?: string;
  /** First media. */
  started_at?: string;
  /** New status; never backwards. */
  status?: Status;
  /** Viewers now. */
  viewer_count?: number;
}

/** Body of `PATCH /groups/{id}`: a field that is not there stays as it is. */
export interface UpdateGroup {
  /** Who gets a join token. Tokens that were given stay valid. */
  admission?: Admission;
  /** People in its room at the same time. Who is in stays in. */
  max_participants?: number;
  /** Replaces all of it. */
  metadata?: Metadata;
  /** Title. */
  name?: string;
}
