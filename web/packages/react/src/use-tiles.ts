import { useCallback, useState, useSyncExternalStore } from 'react';
import type { Room } from '@madang/sdk';
import { useRoom } from './room.js';
import { arrange, EMPTY_GRID, type Grid, type Tiles } from './tiles.js';

/** What a grid is asked to show. */
export interface TilesOptions {
  /** The first page is 0. */
  page: number;
  /** Tiles on a page. */
  size: number;
  /** Keys ({@link tileKey}) of tiles that are at the front of every page, in this order. */
  pinned?: readonly string[];
  /** Keys of tiles that are shown elsewhere on the page. */
  without?: readonly string[];
  /** Whether shared screens have tiles, at the front of every page. */
  screens?: boolean;
}

/** The tiles of a page of the grid; {@link arrange} says which and where. Draws again when they are others. */
export function useTiles(options: TilesOptions): Tiles {
  const room = useRoom();
  const [grids] = useState(() => new WeakMap<Room, GridOf>());
  const grid = gridOf(grids, room);
  const subscribe = useCallback((listener: () => void) => subscribeTo(room, listener), [room]);
  const get = (): Tiles => grid.get(options);
  return useSyncExternalStore(subscribe, get, get);
}

/** The grid of a room, which remembers who has which place. */
class GridOf {
  private arrangement = EMPTY_GRID;

  constructor(private readonly room: Room) {}

  /** Asked twice for the same it answers with the same object. */
  get({ page, size, pinned = [], without = [], screens = false }: TilesOptions): Tiles {
    const { room } = this;
    const grid: Grid = {
      people: room.people.get(),
      me: room.state.get().participant,
      speaker: room.speaking.get().mainly,
      pinned,
      without,
      screens,
      page,
      size,
    };
    this.arrangement = arrange(this.arrangement, grid);
    return this.arrangement.shown;
  }
}

function gridOf(grids: WeakMap<Room, GridOf>, room: Room): GridOf {
  const grid = grids.get(room) ?? new GridOf(room);
  grids.set(room, grid);
  return grid;
}

function subscribeTo(room: Room, listener: () => void): () => void {
  const ends = [room.people, room.speaking, room.state].map((store) => store.subscribe(listener));
  return () => ends.forEach((end) => end());
}
