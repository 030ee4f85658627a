import type { Outcome } from '@madang/sdk';

/** Where the server does not say when it takes the next command. */
const PAUSE_MS = 1_000;
/** A command is tried so often: whoever else moderates uses up the same rate. */
const TRIES = 5;

/** What became of muting many. */
export interface MutedAll {
  muted: number;
  /** Why the first one was not muted who was not. */
  refused: Extract<Outcome, { sent: false }>['reason'] | null;
}

/**
 * Gives one command for each of `participants`, at the pace that the server takes them. `stopped` ends it early.
 */
export async function muteAll(
  participants: readonly string[],
  mute: (participant: string) => Promise<Outcome>,
  options: {
    pause: (ms: number) => Promise<void>;
    stopped: () => boolean;
    progress: (done: number) => void;
  },
): Promise<MutedAll> {
  const result: MutedAll = { muted: 0, refused: null };
  for (const [done, participant] of participants.entries()) {
    options.progress(done);
    const outcome = await patiently(() => mute(participant), options);
    if (options.stopped()) break;
    if (outcome.sent) result.muted += 1;
    else result.refused ??= outcome.reason;
    // Whoever may not mute one may mute nobody.
    if (result.refused === 'right') break;
  }
  return result;
}

async function patiently(
  ask: () => Promise<Outcome>,
  { pause, stopped }: { pause: (ms: number) => Promise<void>; stopped: () => boolean },
): Promise<Outcome> {
  let outcome = await ask();
  for (let again = 1; again < TRIES; again += 1) {
    if (outcome.sent || outcome.reason !== 'rate' || stopped()) break;
    await pause(outcome.retryAfterMs ?? PAUSE_MS);
    outcome = await ask();
  }
  return outcome;
}
