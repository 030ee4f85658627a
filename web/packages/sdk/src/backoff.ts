/**
 * Waits between tries: at random up to a bound that doubles from `firstMs` to `maxMs`. Clients that lost the same
 * server must not come back in step, so the whole wait is random (full jitter).
 */
export class Backoff {
  private tries = 0;

  constructor(
    private readonly firstMs = 500,
    private readonly maxMs = 5_000,
    private readonly random: () => number = Math.random,
  ) {}

  /** The next wait in milliseconds. */
  next(): number {
    const bound = Math.min(this.firstMs * 2 ** Math.min(this.tries, 16), this.maxMs);
    this.tries += 1;
    return bound * this.random();
  }

  /** The next wait is the first one again. */
  reset(): void {
    this.tries = 0;
  }
}

/** Resolves after `ms`, or rejects with the signal's reason. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(toError(signal.reason));
      return;
    }
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(toError(signal?.reason));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new DOMException('aborted', 'AbortError');
}
