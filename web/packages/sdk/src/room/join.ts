import { ApiError } from '../problem.js';
import { LiveRoom } from './live-room.js';
import { findServices } from './services.js';
import { readToken } from './token.js';
import type { JoinOptions, Room } from './types.js';

/**
 * Joins the room of a join token. `url` is the origin of the services, without a slash at its end; empty means the page's
 * own. The room is there before it is connected: its `state` tells how that goes. Rejects where no token is to be had, or
 * one that is none.
 */
export async function joinRoom(
  url: string,
  token: string | (() => Promise<string>),
  options: JoinOptions = {},
): Promise<Room> {
  const tokens = typeof token === 'string' ? (): Promise<string> => Promise.resolve(token) : token;
  const [first, services] = await Promise.all([tokens(), findServices(url)]);
  const claims = readToken(first);
  if (claims === null) throw new ApiError(401, '', 'this is no join token');
  return new LiveRoom({ url, services, claims, token: tokens }, options);
}
