/* eslint-disable @typescript-eslint/no-unused-vars -- the signature, before what it does */
import type { Room } from '@madang/sdk';

/** With what somebody comes into a call. Whoever takes it owns the tracks. */
export interface LobbyChoice {
  name: string;
  /** Open and to be on; null where it is to be off or cannot be had. */
  microphone: MediaStreamTrack | null;
  camera: MediaStreamTrack | null;
  /** The devices that were chosen, for those that are off; null is the default one. */
  microphoneId: string | null;
  cameraId: string | null;
  /** The loudspeaker; null is the default one. */
  speakerId: string | null;
  blur: boolean;
}

/** What of a choice goes into `joinRoom`: a camera that is to be blurred is never sent as it is. */
export function joinTracks(choice: LobbyChoice): {
  mic?: MediaStreamTrack;
  camera?: MediaStreamTrack;
  name: string;
} {
  const { microphone, camera, blur, name } = choice;
  return {
    ...(microphone === null ? {} : { mic: microphone }),
    ...(camera === null || blur ? {} : { camera }),
    name,
  };
}

/** What of a choice is to be done in the room once it is there. */
export async function settle(_room: Room, _choice: LobbyChoice): Promise<void> {
  // Devices, loudspeaker and blur come here.
}
