import * as Y from 'yjs';
import { Value } from '@madang/sdk';
import type { Board, BoardState, Other, PresenceState } from '../src/types.js';

/** Boards of one page that hear of each other at once, without a server. */
export class Hub {
  readonly boards = new Map<number, LocalBoard>();

  open(name: string, client = this.boards.size + 2): LocalBoard {
    const board = new LocalBoard(this, name, client);
    for (const other of this.boards.values()) {
      Y.applyUpdate(board.doc.get(), Y.encodeStateAsUpdate(other.doc.get()));
      board.hear(other.client, other.shown());
      if (other.state.get().phase === 'ready') break;
    }
    this.boards.set(client, board);
    return board;
  }
}

export class LocalBoard implements Board {
  readonly doc = new Value(new Y.Doc());
  readonly state = new Value<BoardState>({
    phase: 'ready',
    unsent: 0,
    mayDraw: true,
    nearlyFull: false,
    full: false,
    why: null,
  });
  readonly origin = {};
  private readonly others = new Value<ReadonlyMap<number, Other>>(new Map());
  private own: PresenceState = {};
  readonly presence = {
    set: (state: PresenceState): void => {
      this.own = JSON.parse(JSON.stringify(state)) as PresenceState;
      for (const board of this.hub.boards.values()) {
        if (board !== this) board.hear(this.client, this.shown());
      }
    },
    others: this.others,
  };
  /** Images by their ids, as data: URLs. */
  readonly kept = new Map<string, string>();
  readonly images = {
    upload: async (image: Blob): Promise<{ id: string; url: string; width: number; height: number }> => {
      const bytes = new Uint8Array(await image.arrayBuffer());
      const id = `img_${this.kept.size}`;
      let text = '';
      for (const byte of bytes) text += String.fromCharCode(byte);
      const url = `data:${image.type};base64,${btoa(text)}`;
      for (const board of this.hub.boards.values()) board.kept.set(id, url);
      const element = new Image();
      element.src = url;
      await element.decode();
      return { id, url, width: element.naturalWidth, height: element.naturalHeight };
    },
    url: (id: string): string => this.kept.get(id) ?? '',
  };

  constructor(
    private readonly hub: Hub,
    readonly name: string,
    readonly client: number,
  ) {
    const doc = this.doc.get();
    doc.clientID = client;
    doc.on('update', (update: Uint8Array, _: unknown, __: unknown, { local }: Y.Transaction) => {
      if (!local) return;
      for (const board of this.hub.boards.values()) {
        if (board !== this) Y.applyUpdate(board.doc.get(), update, 'hub');
      }
    });
  }

  shown(): Other {
    return { from: `par_${this.name}`, name: this.name, state: this.own };
  }

  hear(client: number, other: Other): void {
    this.others.set(new Map(this.others.get()).set(client, other));
  }

  close(): void {
    this.hub.boards.delete(this.client);
  }
}
