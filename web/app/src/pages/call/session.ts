import { ApiError, type CallFailure, joinRoom, NetworkError, type Room } from '@madang/sdk';
import { CallGuest } from '../../store/call-guest';
import { joinTracks, type LobbyChoice } from '../lobby/choice';

/** A room that this page has entered, and who it is there. */
export interface Entered {
  room: Room;
  /** Gives everything back. */
  close: () => void;
}

/** Enters the room of a group. The room is there before it is connected: its state tells how that goes. */
export async function enter(group: string, choice: LobbyChoice): Promise<Entered> {
  const guest = new CallGuest(group, choice.name);
  const room = await joinRoom('', guest.token, joinTracks(choice)).catch((error: unknown) => {
    guest.leave();
    throw error;
  });
  // A token that was refused is not shown again, as after a server has changed its secret.
  const unsubscribe = room.state.subscribe(() => {
    if (room.state.get().failure === 'unauthorized') guest.forget();
  });
  return {
    room,
    close: () => {
      unsubscribe();
      void room.leave().catch(() => undefined);
      guest.leave();
    },
  };
}

/** Why somebody does not even get to the room. */
export function failureOf(error: unknown): CallFailure {
  if (error instanceof NetworkError) return 'network';
  if (!(error instanceof ApiError)) return 'server';
  if (error.code === 'removed') return 'removed';
  if (error.status === 404) return 'not-found';
  return error.status === 401 || error.status === 403 ? 'unauthorized' : 'server';
}
