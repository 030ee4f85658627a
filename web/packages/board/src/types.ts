import type { Store } from '@madang/sdk';
import type * as Y from 'yjs';

/** A point of a page, in board units: one unit is one CSS pixel at 100 %. y grows downwards. */
export type Point = readonly [x: number, y: number];

/**
 * How a whiteboard stands. `loading`: nothing is known yet; `ready`: what is drawn is sent; `offline`: it is kept and sent
 * later; `refused`: this page may not see the board, or not any more.
 */
export type BoardPhase = 'loading' | 'ready' | 'offline' | 'refused';

export interface BoardState {
  phase: BoardPhase;
  /** Local changes (transactions) that the server has not acknowledged. */
  unsent: number;
  /** Whether this page may draw now, as the server said last. */
  mayDraw: boolean;
  nearlyFull: boolean;
  /** The server takes nothing more but deletions. */
  full: boolean;
  /** What the server said when it refused something last, in its words; null if there is nothing to say. */
  why: string | null;
}

/** A stroke that somebody is drawing: as much of it as fits, ever again from a little earlier on. */
export interface LiveStroke {
  /** The id that the object will have: what is shown of it ends when the object is there. */
  id: string;
  page: string;
  type: 'pen' | 'marker' | 'line' | 'arrow' | 'rectangle' | 'ellipse';
  color: string;
  /** Board units. */
  width: number;
  /** Number of the first point in `points`. */
  from: number;
  /** The first point, in board units. */
  x: number;
  y: number;
  /** Base64 of the points after it, as a stroke's `points`. */
  points: string;
}

/** Objects that somebody is moving; they are written once, when they are let go. */
export interface LiveMove {
  ids: string[];
  /** What their transforms are changed by: scaled about (x, y) along axes that are turned by `axis`, turned about it, moved. */
  by: {
    x: number;
    y: number;
    scaleX: number;
    scaleY: number;
    axis: number;
    angle: number;
    dx: number;
    dy: number;
  };
}

/** What the others see of somebody who has the board open. At most 8 KiB as JSON; the latest counts. */
export interface PresenceState {
  page?: string;
  /** Where the pointer is; absent when it is not over the board. */
  cursor?: Point;
  /** Ids of selected objects, as many as fit. */
  selection?: string[];
  stroke?: LiveStroke;
  moving?: LiveMove;
  /** The laser pointer, while it is pressed. */
  laser?: Point;
  /** Asks the others to follow. */
  presenting?: boolean;
  /** The part of the page in sight, for who follows: middle, and the size that has to fit. */
  view?: { x: number; y: number; width: number; height: number };
}

/** Somebody else's page that has the board open. What is in `state` was sent by it and is not to be believed. */
export interface Other {
  /** Person id, stamped by the server. */
  from: string;
  name: string;
  state: PresenceState;
}

export interface UploadedImage {
  id: string;
  url: string;
  /** Pixels. */
  width: number;
  height: number;
}

/** A whiteboard that this page has open. */
export interface Board {
  /**
   * The document, with its two root maps `objects` and `pages`. Another one comes with a new epoch (it was compacted or
   * imported); unsent work is in it by then, as new objects.
   */
  readonly doc: Store<Y.Doc>;
  readonly state: Store<BoardState>;
  /**
   * The transaction origin of what the person does. Undo tracks it. Everything whose `transaction.local` is true is
   * sent, what undo does included.
   */
  readonly origin: object;
  readonly presence: {
    /** Replaces one's own state. Sent at most 20 times a second, the latest of each. */
    set(state: PresenceState): void;
    /** By the client id of each other page. */
    readonly others: Store<ReadonlyMap<number, Other>>;
  };
  readonly images: {
    /** Rejects with an Error whose message is the server's word for it. */
    upload(image: Blob): Promise<UploadedImage>;
    /** Where an image is. */
    url(id: string): string;
  };
  close(): void;
}
