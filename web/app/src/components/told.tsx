import type { ReactNode } from 'react';
import { plain } from '../lib/format';

/**
 * What somebody has written: its direction is its own, and whatever marks it has turn nothing around it. Every text of
 * a person that stands beside words of ours goes through here.
 */
export function Told({ text }: { text: string }): ReactNode {
  return <bdi>{plain(text)}</bdi>;
}
