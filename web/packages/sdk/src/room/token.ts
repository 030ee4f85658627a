import type { Grant, Source } from '../types.js';

/** What a join token says of itself. The server checks it; a page reads it to know what to offer. */
export interface JoinClaims {
  group: string;
  /** Who one is. */
  participant: string;
  grants: readonly Grant[];
  /** Display name, where the token says it. */
  name: string | null;
}

/** Reads a join token; null if it is something else. */
export function readToken(token: string): JoinClaims | null {
  let claims: unknown;
  try {
    const [, payload = ''] = token.split('.');
    const bytes = Uint8Array.from(atob(payload.replace(/-/g, '+').replace(/_/g, '/')), (char) =>
      char.charCodeAt(0),
    );
    claims = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
  if (typeof claims !== 'object' || claims === null) return null;
  const { kind, room, sub, grants, name } = claims as Record<string, unknown>;
  if (kind !== 'join' || typeof room !== 'string' || typeof sub !== 'string') return null;
  return {
    group: room,
    participant: sub,
    grants: Array.isArray(grants) ? (grants as Grant[]) : [],
    name: typeof name === 'string' ? name : null,
  };
}

const GRANTS: readonly [Source, Grant][] = [
  ['microphone', 'publish_microphone'],
  ['camera', 'publish_camera'],
  ['screen', 'publish_screen'],
  ['screen_audio', 'publish_screen'],
];

/** What may be published with these grants. */
export function sourcesOf(grants: readonly Grant[]): Source[] {
  const all = grants.includes('publish');
  return GRANTS.flatMap(([source, grant]) => (all || grants.includes(grant) ? [source] : []));
}
