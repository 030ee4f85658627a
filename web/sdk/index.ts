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
} from './capture';
export { type IceServerSource, RenewedIceServers } from './ice-servers';
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
} from './layers';
export { LevelMeter } from './level-meter';
export { type ListQuery, MetaApi, randomKey } from './meta-api';
export type { LinkFailure, LinkState } from './peer-link';
export { ApiError, NetworkError } from './problem';
export type { Outcome } from './replies';
export { canDecode } from './rtp';
export { Signaling, type SignalingState, signalingUrl } from './signaling';
export type { LinkStats, TrackStats } from './stats';
export * from './types';
export { type PlayerOptions, type PlayerStats, type RemoteTrack, WhepPlayer } from './whep';
export { type PublisherOptions, WhipPublisher } from './whip';
