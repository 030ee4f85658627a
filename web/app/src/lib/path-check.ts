import { ApiError } from '@madang/sdk';

/** Why media finds no way, by what the browser says when it looks for ways: RFC 8445, and errors as in RFC 8656. */

/** What a look for ways has found. */
export interface PathFacts {
  /** Whether the server answered a request just now. */
  answers: boolean;
  /** Whether there are relays (TURN) to ask. */
  hasRelays: boolean;
  /** The kinds of addresses that were found. */
  found: ReadonlySet<string>;
  /** Codes with which STUN and TURN servers answered, or did not: 701 is no answer. */
  errors: readonly number[];
}

/** What is in the way. */
export type Obstacle =
  /** Not even a request comes through. */
  | 'server-away'
  /** The browser gives no address at all: a setting or an extension forbids it. */
  | 'forbidden'
  /** The relay is there and does not take this participant. */
  | 'relay-refused'
  /** No relay answers: the network lets no UDP out, nor what the relay listens on. */
  | 'udp-blocked'
  /** There is no relay to go around it. */
  | 'no-relay'
  /** The relay works: it is the server that cannot be reached from it, or from here. */
  | 'no-pair';

const NO_ANSWER = 701;

/** What is in the way of somebody whose connections were not made. */
export function obstacleOf({ answers, hasRelays, found, errors }: PathFacts): Obstacle {
  if (!answers) return 'server-away';
  if (found.has('relay')) return 'no-pair';
  const isRefused = (code: number): boolean => code >= 400 && code < NO_ANSWER;
  if (hasRelays && errors.some(isRefused)) return 'relay-refused';
  if (found.size === 0) return 'forbidden';
  return hasRelays ? 'udp-blocked' : 'no-relay';
}

/** Looking for ways is over by then. */
const LOOK_MS = 6_000;

/** Looks for ways with these servers; `ask` asks for them, and fails where nobody answers. */
export async function lookForPaths(ask: () => Promise<RTCIceServer[]>): Promise<PathFacts> {
  let iceServers: RTCIceServer[];
  try {
    iceServers = await ask();
  } catch (error) {
    // A refusal is an answer; what ways there are without a relay is looked for.
    if (!(error instanceof ApiError)) {
      return { answers: false, hasRelays: false, found: new Set(), errors: [] };
    }
    iceServers = [];
  }
  const found = new Set<string>();
  const errors: number[] = [];
  const urls = iceServers.flatMap((server) => server.urls);
  const connection = new RTCPeerConnection({ iceServers });
  try {
    await new Promise<void>((resolve) => {
      setTimeout(resolve, LOOK_MS);
      connection.onicecandidate = ({ candidate }) => {
        if (candidate === null) resolve();
        else if (candidate.type !== null && candidate.candidate !== '') found.add(candidate.type);
      };
      connection.onicecandidateerror = ({ errorCode }) => errors.push(errorCode);
      connection.createDataChannel('look');
      connection.setLocalDescription().catch(() => resolve());
    });
  } finally {
    connection.close();
  }
  return { answers: true, hasRelays: urls.some((url) => /^turns?:/.test(url)), found, errors };
}
