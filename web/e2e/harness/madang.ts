import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Child, binary } from './process';

/** A running single process on free ports with its own data folder. */
export class Madang {
  private constructor(
    public child: Child,
    readonly url: string,
    public admin: string,
    private readonly dataDir: string,
    private readonly begin: (httpPort: string) => Child,
  ) {}

  static async start(args: string[] = [], env: Record<string, string> = {}): Promise<Madang> {
    const dataDir = await mkdtemp(join(tmpdir(), 'madang-e2e-'));
    const free = ['--https-port', '--admin-port', '--media-port', '--turn-port'].flatMap((name) => [
      name,
      '0',
    ]);
    const begin = (httpPort: string): Child => {
      const own = ['--dev', '--data-dir', dataDir, '--http-port', httpPort, ...free, ...args];
      return new Child('madang', binary('madang'), own, { env });
    };
    const child = begin('0');
    const home = await child.line(/^\s*Home\s+(http:\S+?)\/?$/);
    return new Madang(child, home[1] ?? '', await adminOf(child), dataDir, begin);
  }

  /** Ends it at once, without a word to anybody. */
  async kill(): Promise<void> {
    const ended = this.child.ended();
    this.child.kill('SIGKILL');
    await ended;
  }

  /** Starts it again after {@link kill}, with what it had stored, where pages look for it. */
  async restart(): Promise<void> {
    this.child = this.begin(new URL(this.url).port);
    this.admin = await adminOf(this.child);
  }

  /** Stops it and returns its exit code. */
  async stop(): Promise<number | null> {
    const code = await this.child.stop();
    await rm(this.dataDir, { recursive: true, force: true });
    return code;
  }
}

async function adminOf(child: Child): Promise<string> {
  return (await child.line(/^\s*Admin\s+(http:\S+?)\/?$/))[1] ?? '';
}
