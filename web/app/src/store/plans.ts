import { create } from 'zustand';
import { ApiError, randomKey } from '@madang/sdk';
import { api } from '../lib/api';
import { keptPlans, type KeptPlan, MAX_PLANS } from '../lib/storage';

/** Broadcasts that were planned in this browser, the next one first. */
export const usePlans = create<{ plans: readonly KeptPlan[] }>(() => ({ plans: inOrder(keptPlans.read()) }));

/** What is to be planned. */
export interface Wanted {
  name: string;
  description: string;
  /** Unix milliseconds. */
  atMs: number;
  creatorToken: string;
}

/** How far ahead the service lets anybody plan. */
const MAX_AHEAD_MS = 366 * 24 * 60 * 60_000;

/** Why something cannot be planned, before anybody is asked; null where it can. */
export function planFault({ atMs }: Pick<Wanted, 'atMs'>, nowMs: number): 'past' | 'full' | null {
  if (Number.isNaN(atMs) || atMs <= nowMs || atMs > nowMs + MAX_AHEAD_MS) return 'past';
  return usePlans.getState().plans.length >= MAX_PLANS ? 'full' : null;
}

/** What was asked for last: after a lost answer the same is asked again, and makes no second broadcast. */
let last: { asked: string; key: string } | null = null;

/** Makes a broadcast with a planned time and keeps its keys. Fails with what the service said. */
export async function plan(wanted: Wanted): Promise<void> {
  const plannedAt = new Date(wanted.atMs).toISOString();
  const body = { name: wanted.name, description: wanted.description, planned_at: plannedAt };
  const asked = JSON.stringify([body, wanted.creatorToken]);
  if (last?.asked !== asked) last = { asked, key: randomKey() };
  const token = wanted.creatorToken === '' ? undefined : wanted.creatorToken;
  const made = await api.create(body, last.key, token);
  last = null;
  const kept: KeptPlan = {
    id: made.id,
    streamKey: made.stream_key,
    ownerKey: made.owner_key,
    whipUrl: made.whip_url,
    watchUrl: made.watch_url,
    name: made.name,
    description: made.description,
    plannedAt,
  };
  keep([...keptPlans.read().filter(({ id }) => id !== kept.id), kept]);
}

/** Takes a plan back: the broadcast is deleted. Fails with what the service said. */
export async function cancelPlan({ id, ownerKey }: KeptPlan): Promise<void> {
  try {
    await api.delete(id, ownerKey);
  } catch (error) {
    // Gone already.
    if (!(error instanceof ApiError && error.status === 404)) throw error;
  }
  forgetPlan(id);
}

/** Forgets a plan whose broadcast is over. */
export function forgetPlan(id: number): void {
  const plans = keptPlans.read();
  if (plans.some((kept) => kept.id === id)) keep(plans.filter((kept) => kept.id !== id));
}

/** Forgets those whose broadcast is over or gone; one that nobody answers for stays. */
export async function checkPlans(): Promise<void> {
  for (const { id } of keptPlans.read()) {
    try {
      if ((await api.get(id)).status === 'CLOSED') forgetPlan(id);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) forgetPlan(id);
    }
  }
  usePlans.setState({ plans: inOrder(keptPlans.read()) });
}

function keep(plans: readonly KeptPlan[]): void {
  keptPlans.write(plans);
  usePlans.setState({ plans: inOrder(plans) });
}

function inOrder(plans: readonly KeptPlan[]): readonly KeptPlan[] {
  return [...plans].sort((one, other) => Date.parse(one.plannedAt) - Date.parse(other.plannedAt));
}
