import { ApiError, type CallFailure, joinRoom, NetworkError, type Room } from '@madang/sdk';
import { CallGuest } from '../../store/call-guest';
import { joinTracks, type LobbyChoice } from '../lobby/choice';

/** A room that this page is in, and who it is there. */
export interface Entered {
  room: Room;
  /** Gives everything back. */
  close: () => void;
}

/** Somebody did not get into a room. */
export class Refused extends Error {
  override readonly name = 'Refused';
  constructor(readonly failure: CallFailure) {
    super(failure);
  }
}

/** Enters the room of a group, and is there; rejects with {@link Refused}. Whoever aborts has never been there. */
export async function enter(group: string, choice: LobbyChoice, signal: AbortSignal): Promise<Entered> {
  const guest = new CallGuest(group, choice.name);
  const entered = await joinRoom('', guest.token, joinTracks(choice)).then(
    (room): Entered => {
      // A token that was refused is not shown again, as after a server has changed its secret.
      const unsubscribe = room.state.subscribe(() => {
        if (room.state.get().failure === 'unauthorized') guest.forget();
      });
      const close = (): void => {
        unsubscribe();
        void room.leave().catch(() => undefined);
        guest.leave();
      };
      return { room, close };
    },
    (error: unknown) => {
      guest.leave();
      stop(choice);
      throw new Refused(failureOf(error));
    },
  );
  try {
    await there(entered.room, signal);
  } catch (error) {
    entered.close();
    throw error;
  }
  return entered;
}

/** Resolves once somebody is in a room, whose session may well be lost again by then. */
function there({ state }: Room, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const { call, failure, participant } = state.get();
      if (participant !== null) end(resolve);
      else if (call === 'failed' || call === 'closed' || signal.aborted)
        end(() => reject(new Refused(failure ?? 'server')));
    };
    const unsubscribe = state.subscribe(look);
    const end = (settle: () => void): void => {
      unsubscribe();
      signal.removeEventListener('abort', look);
      settle();
    };
    signal.addEventListener('abort', look);
    look();
  });
}

function failureOf(error: unknown): CallFailure {
  if (error instanceof NetworkError) return 'network';
  if (!(error instanceof ApiError)) return 'server';
  if (error.code === 'removed' || error.code === 'locked') return error.code;
  if (error.status === 404) return 'not-found';
  return error.status === 401 || error.status === 403 ? 'unauthorized' : 'server';
}

/** Nobody else owns them. */
function stop({ microphone, camera }: LobbyChoice): void {
  microphone?.stop();
  camera?.stop();
}
