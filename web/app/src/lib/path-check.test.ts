import { expect, it } from 'vitest';
import { type Obstacle, obstacleOf } from './path-check';

const facts = (found: string[], errors: number[] = [], hasRelays = true) => ({
  answers: true,
  hasRelays,
  found: new Set(found),
  errors,
});

it.each<[string, Parameters<typeof obstacleOf>[0], Obstacle]>([
  ['nobody answers', { ...facts(['host', 'relay']), answers: false }, 'server-away'],
  ['the relay works', facts(['host', 'relay']), 'no-pair'],
  ['one of two relays works', facts(['host', 'relay'], [701, 401]), 'no-pair'],
  ['the credentials are refused', facts(['host'], [401]), 'relay-refused'],
  ['the relay is full', facts(['host'], [701, 486]), 'relay-refused'],
  ['no relay answers', facts(['host', 'srflx'], [701]), 'udp-blocked'],
  ['no relay answers, without a word', facts(['host']), 'udp-blocked'],
  ['there is no relay', facts(['host'], [701], false), 'no-relay'],
  ['the browser gives nothing', facts([], [701]), 'forbidden'],
  ['the browser gives nothing, and there is no relay', facts([], [], false), 'forbidden'],
])('names what is in the way: %s', (_, known, obstacle) => expect(obstacleOf(known)).toBe(obstacle));
