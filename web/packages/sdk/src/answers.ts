import type { Reply } from './types.js';

/** An answer that has not come by then will not come. */
const PATIENCE_MS = 10_000;

/** Messages whose senders read the whole of the server's answer. */
export class Answers {
  private readonly waiting = new Map<string, (reply: Reply | null) => void>();
  private last = 0;

  /** Hands a request id to `send` and resolves with the answer; null if none came. */
  async ask(send: (request: string) => void): Promise<Reply | null> {
    this.last += 1;
    const request = `b${this.last}`;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.settle(request, null), PATIENCE_MS);
      this.waiting.set(request, (reply) => {
        clearTimeout(timer);
        resolve(reply);
      });
      send(request);
    });
  }

  /** Takes a message of `/user/queue/replies`. */
  take(reply: Reply): void {
    if (reply.request !== undefined) this.settle(reply.request, reply);
  }

  /** The connection is gone, and with it every answer. */
  loseAll(): void {
    for (const request of [...this.waiting.keys()]) this.settle(request, null);
  }

  private settle(request: string, reply: Reply | null): void {
    const done = this.waiting.get(request);
    this.waiting.delete(request);
    done?.(reply);
  }
}
