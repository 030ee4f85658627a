/** The Madang browser SDK: REST, WHIP, WHEP, calls and STOMP. */

export { Call, type CallFailure, type CallOptions, type CallSlot, type CallState } from './call.js';
export {
  canShareScreen,
  CaptureError,
  captureFailure,
  type CaptureFailure,
  listDevices,
  onDevicesChanged,
  openCamera,
  openMicrophone,
  openScreen,
} from './capture.js';
export { Chat, type ChatOptions, type ChatSignaling } from './chat/chat.js';
export { type ChatGap, type ChatLine, messageOf, type MessageLine } from './chat/log.js';
export { MAX_PENDING, type Pending, type PendingState, type Refusal, type Written } from './chat/outbox.js';
export { SHOWN_PER_SECOND } from './chat/pace.js';
export type * from './chat/types.js';
export { type IceServerSource, RenewedIceServers } from './ice-servers.js';
export {
  type Fact,
  type Known,
  learn,
  type Listing,
  listing,
  NOTHING_KNOWN,
  type Sending,
  sending,
  type Situation,
  viewing,
} from './known.js';
export {
  chosenHeight,
  heightsOf,
  hasForeignCodec,
  isLineTooSlow,
  isSent,
  type Layers,
  shorter,
  type VideoChoice,
} from './layers.js';
export { LevelMeter } from './level-meter.js';
export { type ListPage, type ListQuery, MetaApi, randomKey } from './meta-api.js';
export type { LinkFailure, LinkState } from './peer-link.js';
export { ApiError, NetworkError } from './problem.js';
export type { Outcome } from './replies.js';
export { RoomReplica } from './room-replica.js';
export { joinRoom } from './room/join.js';
export { Value } from './room/store.js';
export type * from './room/types.js';
export { canDecode } from './rtp.js';
export { thisMachine } from './simulcast.js';
export { Signaling, signalingHttp, type SignalingState, signalingUrl } from './signaling.js';
export type { LinkStats, TrackStats } from './stats.js';
export * from './types.js';
export { type PlayerOptions, type PlayerStats, type RemoteTrack, WhepPlayer } from './whep.js';
export { type PublisherOptions, WhipPublisher } from './whip.js';
