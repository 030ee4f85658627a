import type { ChatBan, ChatHistory, Reason, Reply } from './types.js';

/** What became of a message: the server has it, or why it does not, as far as anyone knows. */
export type Outcome =
  | {
      sent: true;
      /** The number that a chat message got. */
      seq: number | null;
      /** What was asked of a chat. */
      history?: ChatHistory;
      bans?: ChatBan[];
    }
  | {
      sent: false;
      /** The server's reason, or `lost`: no answer came, and the server may have the message or not. */
      reason: Reason | 'lost';
      /** After this time the same message may be taken. */
      retryAfterMs: number | null;
      /** Why, in the server's words. */
      message?: string;
    };

/** An answer that has not come by then will not come. */
const PATIENCE_MS = 5_000;

/** Messages that wait for the reply of the server. */
export class Replies {
  private readonly waiting = new Map<string, (outcome: Outcome) => void>();
  private last = 0;

  /**
   * Hands a request id to `send` and resolves with the outcome: a new one of this connection, or that of the message
   * that is repeated.
   */
  async ask(send: (request: string) => void, given?: string): Promise<Outcome> {
    this.last += 1;
    const request = given ?? String(this.last);
    // Of two that ask under one id the later one gets the answer.
    this.settle(request, LOST);
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.settle(request, LOST), PATIENCE_MS);
      this.waiting.set(request, (outcome) => {
        clearTimeout(timer);
        resolve(outcome);
      });
      send(request);
    });
  }

  /** Takes a message of `/user/queue/replies`. */
  take(reply: Reply): void {
    if (reply.request === undefined) return;
    const outcome: Outcome =
      reply.outcome === 'done'
        ? done(reply)
        : {
            sent: false,
            reason: reply.reason,
            retryAfterMs: reply.retry_after_ms ?? null,
            message: reply.message,
          };
    this.settle(reply.request, outcome);
  }

  /** The connection is gone, and with it every answer. */
  loseAll(): void {
    for (const request of [...this.waiting.keys()]) this.settle(request, LOST);
  }

  private settle(request: string, outcome: Outcome): void {
    const done = this.waiting.get(request);
    this.waiting.delete(request);
    done?.(outcome);
  }
}

function done({ seq, history, bans }: Extract<Reply, { outcome: 'done' }>): Outcome {
  return {
    ...{ sent: true, seq: seq ?? null },
    ...(history === undefined ? {} : { history }),
    ...(bans === undefined ? {} : { bans }),
  };
}

const LOST: Outcome = { sent: false, reason: 'lost', retryAfterMs: null };

/** Whether a body is a reply. */
export function isReply(body: object): body is Reply {
  const reply = body as { outcome?: unknown; reason?: unknown };
  return reply.outcome === 'done' || (reply.outcome === 'refused' && typeof reply.reason === 'string');
}
