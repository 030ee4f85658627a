import { randomKey } from '../meta-api.js';
import type { Outcome } from '../replies.js';
import type { Signaling } from '../signaling.js';

/** Whoever waits longer than this for signaling to come back is told that the command was lost. */
const PATIENCE_MS = 10_000;
/** Commands that wait at a time; more are lost at once. */
const MAX_WAITING = 64;

/** Sends commands of which one whose answer was lost is repeated under its id, which does no harm. */
export class Commands<Command> {
  private waiting = 0;

  /** `ask` sends a command under a request id, and never rejects. */
  constructor(
    private readonly signaling: Pick<Signaling, 'on' | 'state'>,
    private readonly ask: (command: Command, request: string) => Promise<Outcome>,
  ) {}

  /** What became of it; never rejects. What is of the moment only (`once`) is not repeated. */
  async send(command: Command, once = false): Promise<Outcome> {
    if (this.waiting >= MAX_WAITING) return LOST;
    this.waiting += 1;
    try {
      return await this.repeat(command, once);
    } finally {
      this.waiting -= 1;
    }
  }

  private async repeat(command: Command, once: boolean): Promise<Outcome> {
    const request = randomKey();
    const until = performance.now() + PATIENCE_MS;
    for (;;) {
      const left = until - performance.now();
      if (!(await this.connected(once ? 0 : left))) return LOST;
      const outcome = await this.ask(command, request);
      if (once || outcome.sent || outcome.reason !== 'lost' || performance.now() >= until) return outcome;
    }
  }

  /** Whether signaling is there, or is within this time. */
  private connected(withinMs: number): Promise<boolean> {
    const { state } = this.signaling;
    if (state === 'connected' || state === 'closed' || withinMs <= 0)
      return Promise.resolve(state === 'connected');
    return new Promise((resolve) => {
      const finish = (is: boolean): void => {
        clearTimeout(timer);
        stop();
        resolve(is);
      };
      const timer = setTimeout(() => finish(false), withinMs);
      const stop = this.signaling.on('state', (now) => {
        if (now === 'connected' || now === 'closed') finish(now === 'connected');
      });
    });
  }
}

const LOST: Outcome = { sent: false, reason: 'lost', retryAfterMs: null };
