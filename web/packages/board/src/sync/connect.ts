import type { Board, UploadedImage } from '../types.js';
import { Presence } from './presence.js';
import { Sync } from './sync.js';
import { connectWire, type Wire, type WireOptions } from './wire.js';

/** The whiteboard of a room, by a signaling connection that its owner keeps. */
export function connectBoard(options: WireOptions): Board {
  return boardOver(connectWire(options));
}

/** The same over any way to the server. */
export function boardOver(wire: Wire): Board {
  const sync = new Sync(wire);
  const presence = new Presence(wire, () => sync.client);
  return {
    doc: sync.doc,
    state: sync.state,
    origin: {},
    presence: { set: presence.set, others: presence.others },
    images: {
      upload: async (image): Promise<UploadedImage> => {
        const { id, width, height } = await wire.upload(image);
        return { id, url: wire.imageUrl(id), width, height };
      },
      url: (id) => wire.imageUrl(id),
    },
    close: () => {
      presence.close();
      sync.close();
    },
  };
}
