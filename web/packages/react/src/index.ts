/** React hooks and parts for pages on the Madang SDK: what belongs to no page and says no words of its own. */

export { useMedia, useNow } from './environment.js';
export { createInstanceContext, type Instance, type InstanceContext } from './instance.js';
export {
  joinOptions,
  Lobby,
  type LobbyChoice,
  type LobbyOptions,
  type LobbyState,
  settleIn,
} from './lobby.js';
export { keepDevice } from './kept-choice.js';
export type { LobbyDeviceState, OpenDevice } from './lobby-device.js';
export { TrackSound, useFullscreen, useTracks } from './media.js';
export { Meter } from './meter.js';
export { PreJoin, type PreJoinProps, type PreJoinWords, useLobby } from './pre-join.js';
export {
  RoomProvider,
  stateOf,
  usePeople,
  usePerson,
  useRoom,
  useRoomEvent,
  useRoomState,
  useSpeaker,
  useSpeaks,
} from './room.js';
export { Sound, type SoundProps } from './sound.js';
export { useStoreValue } from './store.js';
export { type Mark, Picture, type PictureProps, Tile, type TileProps, type TileWords } from './tile.js';
export { playTestSound } from './test-sound.js';
export { tileKey, type TileOf, type Tiles } from './tiles.js';
export { type TilesOptions, useTiles } from './use-tiles.js';
export { type PictureOptions, useView } from './view.js';
