import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';

/** Top of the checkout. */
export const root = resolve(import.meta.dirname, '../../..');

/** Path of a binary that `cargo build` left. */
export function binary(name: string): string {
  const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target');
  return join(target, process.env.E2E_PROFILE ?? 'debug', name);
}

/** The children that run, for {@link logs}. */
const running = new Set<Child>();

// A test file whose beginning failed ends nothing that it has started; vitest ends it like this.
process.once('SIGTERM', () => {
  for (const child of running) child.kill('SIGKILL');
  process.exit(1);
});

/** The last lines of each process that runs: what a failure elsewhere may be explained by. */
export function logs(): string {
  return [...running].map(({ name, lines }) => `--- ${name}\n${lines.slice(-30).join('\n')}`).join('\n');
}

/** A child process whose output is kept, so that a failure can show it. */
export class Child {
  readonly lines: string[] = [];
  private readonly process: ChildProcess;
  private readonly watchers = new Set<() => void>();
  private rest = '';

  constructor(
    readonly name: string,
    command: string,
    args: string[],
    options: { env?: Record<string, string>; cwd?: string; uid?: number; gid?: number } = {},
  ) {
    this.process = spawn(command, args, {
      ...options,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.process.stdout?.on('data', (data: Buffer) => this.read(data.toString()));
    this.process.stderr?.on('data', (data: Buffer) => this.read(data.toString()));
    running.add(this);
    this.process.on('exit', () => {
      running.delete(this);
      this.notify();
    });
    this.process.on('error', (error) => {
      this.read(`${error.message}\n`);
      if (this.isOver) running.delete(this);
    });
  }

  /** It has ended, or was never there: what could not be started has no number, and never ends. */
  private get isOver(): boolean {
    const { pid, exitCode, signalCode } = this.process;
    return pid === undefined || exitCode !== null || signalCode !== null;
  }

  get exitCode(): number | null {
    return this.process.exitCode;
  }

  get pid(): number {
    return this.process.pid ?? -1;
  }

  /** Resolves with the first line that matches, those already printed included. */
  async line(pattern: RegExp, timeoutMs = 30_000): Promise<RegExpMatchArray> {
    let found: RegExpMatchArray | null = null;
    const search = () => {
      for (const line of this.lines) {
        found = pattern.exec(line);
        if (found !== null) return true;
      }
      return false;
    };
    const deadline = Date.now() + timeoutMs;
    while (!search()) {
      if (this.isOver) {
        // What it said last, or why it could not be started, is told a moment later.
        await new Promise((told) => setImmediate(told));
        if (search()) break;
        throw this.failure(`ended with ${this.process.exitCode ?? this.process.signalCode}`);
      }
      const left = deadline - Date.now();
      if (left <= 0) throw this.failure(`printed nothing like ${pattern.source} in ${timeoutMs} ms`);
      await new Promise<void>((wake) => {
        const timer = setTimeout(done, left);
        const watchers = this.watchers;
        function done() {
          clearTimeout(timer);
          watchers.delete(done);
          wake();
        }
        watchers.add(done);
      });
    }
    return found as unknown as RegExpMatchArray;
  }

  kill(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }

  /** Resolves when it has ended. */
  async ended(): Promise<void> {
    if (!this.isOver) await once(this.process, 'exit');
  }

  /** Asks it to stop and waits; returns the exit code. Killed after `timeoutMs`. */
  async stop(timeoutMs = 20_000, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.isOver) return this.process.exitCode;
    const exited = once(this.process, 'exit');
    this.process.kill(signal);
    const timer = setTimeout(() => this.process.kill('SIGKILL'), timeoutMs);
    await exited;
    clearTimeout(timer);
    return this.process.exitCode;
  }

  failure(what: string): Error {
    return new Error(`${this.name} ${what}; its last lines:\n${this.lines.slice(-40).join('\n')}`);
  }

  private read(text: string): void {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    this.lines.push(...lines);
    this.notify();
  }

  private notify(): void {
    for (const wake of [...this.watchers]) wake();
  }
}

/** What `work` gives; fails with `what` where it does not come within `timeoutMs`. */
export async function within<T>(what: string, timeoutMs: number, work: T | Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, fail) => {
    timer = setTimeout(() => fail(new Error(`${what}: not within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A question that was asked in time may be answered this much later. */
const LAST_ANSWER_MS = 10_000;

/** Polls until `check` gives something truthy; fails with `what` after `timeoutMs`. */
export async function eventually<T>(
  what: string,
  check: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  timeoutMs = 20_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      // A page that hangs answers nothing, not even no.
      const value = await within(what, Math.max(deadline - Date.now(), 0) + LAST_ANSWER_MS, check());
      if (value !== false && value !== null && value !== undefined) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms (last: ${String(last)})`);
    await new Promise((wake) => setTimeout(wake, 100));
  }
}
