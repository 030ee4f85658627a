import { signalingUrl } from '../signaling.js';

/** Where the services are. */
export interface Services {
  /** Origin of the media server; empty is the page's own. */
  sfu: string;
  /** WebSocket URL of signaling. */
  signaling: string;
}

/** Longest wait for the answer: without one the services are taken to be where the pages come from. */
const PATIENCE_MS = 5_000;

/** Asks the origin `url` where its services are; a server that does not say has them all there. */
export async function findServices(url: string): Promise<Services> {
  const response = await fetch(`${url}/config.json`, { signal: AbortSignal.timeout(PATIENCE_MS) }).catch(
    () => null,
  );
  const told: unknown = response?.ok === true ? await response.json().catch(() => null) : null;
  const { sfu_url: sfu, signaling_url: signaling } = (told ?? {}) as Record<string, unknown>;
  const page = url === '' ? location : new URL(url);
  return {
    sfu: typeof sfu === 'string' && sfu !== '' ? sfu : url,
    signaling: signalingUrl(typeof signaling === 'string' ? signaling : '', page),
  };
}
