import type { Room } from '@madang/sdk';
import { keptBlur } from '../storage';
import { blur, tryBlur } from './effect';
import { useBlur } from './state';

let turn = 0;

/** Blurs what is behind the person, or shows it again; `false` where it cannot be blurred. The last wish counts. */
export async function blurCamera(room: Room, on: boolean): Promise<boolean> {
  const own = ++turn;
  useBlur.setState({ on, busy: true, failed: false });
  // A camera that is off takes the effect without trying it, and is shown as it is where it fails later.
  let done = !on || (await tryBlur());
  if (own !== turn) return done;
  if (done) {
    done = await room.me.camera.effect(on ? blur : null).then(
      () => true,
      () => false,
    );
  }
  if (own !== turn) return done;
  useBlur.setState({ busy: false, on: on && done, failed: on && !done });
  if (done) keptBlur.write(on);
  return done;
}
