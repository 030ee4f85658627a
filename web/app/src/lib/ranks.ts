import type { Person } from '@madang/sdk';

/** How high somebody stands in a call: a host by its own token, a moderator because a host made it one. */
export type Rank = 'guest' | 'moderator' | 'host';

const ORDER: readonly Rank[] = ['guest', 'moderator', 'host'];

export function rankOf({ host, rights }: Pick<Person, 'host' | 'rights'>): Rank {
  if (!rights.includes('moderate')) return 'guest';
  return host === true ? 'host' : 'moderator';
}

/** What one person may do about another; the server decides, so that this only says what to offer. */
export interface Powers {
  /** Mute, stop a screen, lower a hand. */
  quieten: boolean;
  /** Remove, give and take rights. */
  govern: boolean;
  /** Make it a moderator, or none any more. */
  promote: boolean;
}

export function powersOver(own: Rank, other: Rank): Powers {
  const above = ORDER.indexOf(own) > ORDER.indexOf(other);
  return { quieten: own !== 'guest', govern: own !== 'guest' && above, promote: own === 'host' && above };
}
