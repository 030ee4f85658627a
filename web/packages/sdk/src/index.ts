/** The Madang browser SDK: REST, WHIP, WHEP and STOMP. */

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
export { type IceServerSource, RenewedIceServers } from './ice-servers.js';
export {
  chosenHeight,
  heightsOf,
  hasForeignCodec,
  isLineTooSlow,
  isSent,
  type Layers,
  type Obstacle,
  shorter,
  type VideoChoice,
} from './layers.js';
export { LevelMeter } from './level-meter.js';
export { type ListQuery, MetaApi, randomKey } from './meta-api.js';
export type { LinkFailure, LinkState } from './peer-link.js';
export { ApiError, NetworkError } from './problem.js';
export type { Outcome } from './replies.js';
export { canDecode } from './rtp.js';
export { Signaling, type SignalingState, signalingUrl } from './signaling.js';
export type { LinkStats, TrackStats } from './stats.js';
export * from './types.js';
export { type PlayerOptions, type PlayerStats, type RemoteTrack, WhepPlayer } from './whep.js';
export { type PublisherOptions, WhipPublisher } from './whip.js';
