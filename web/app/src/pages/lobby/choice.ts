import { joinOptions, type LobbyChoice as Choice, settleIn } from '@madang/react';
import type { JoinOptions, Room } from '@madang/sdk';
import { useBlur } from '../../lib/blur/state';
import { blurCamera } from '../../lib/blur/switch';
import { useSpeaker } from '../../lib/devices';

/** With what somebody comes into a call. Whoever takes it owns the tracks. */
export interface LobbyChoice extends Choice {
  blur: boolean;
}

/** What of a choice goes into `joinRoom`: a camera that is to be blurred is never sent as it is. */
export function joinTracks(choice: LobbyChoice): JoinOptions {
  return joinOptions(choice.blur ? { ...choice, camera: null } : choice);
}

/** What of a choice is done in the room once it is there: devices that are off, loudspeaker, blur. */
export async function settle(room: Room, choice: LobbyChoice): Promise<void> {
  const { blur, camera, speakerId } = choice;
  useSpeaker.setState({ id: speakerId });
  useBlur.setState({ on: false, busy: false, failed: false });
  if (!blur) {
    await settleIn(room, choice);
    return;
  }
  // Phones have one camera at a time.
  camera?.stop();
  const [blurred] = await Promise.all([blurCamera(room, true), settleIn(room, { ...choice, camera: null })]);
  // Who wants no one to see the room behind it is not shown with it.
  if (blurred && camera !== null) await room.me.camera.on();
}
