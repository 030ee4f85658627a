import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Child, binary } from './process';

/** A running single process on free ports with its own data folder. */
export class Madang {
  private constructor(
    readonly child: Child,
    readonly url: string,
    readonly admin: string,
    private readonly dataDir: string,
  ) {}

  static async start(args: string[] = [], env: Record<string, string> = {}): Promise<Madang> {
    const dataDir = await mkdtemp(join(tmpdir(), 'madang-e2e-'));
    const free = [
      '--http-port',
      '0',
      '--https-port',
      '0',
      '--admin-port',
      '0',
      '--media-port',
      '0',
      '--turn-port',
      '0',
    ];
    const child = new Child('madang', binary('madang'), ['--dev', '--data-dir', dataDir, ...free, ...args], {
      env,
    });
    const home = await child.line(/^\s*Home\s+(http:\S+?)\/?$/);
    const admin = await child.line(/^\s*Admin\s+(http:\S+?)\/?$/);
    return new Madang(child, home[1] ?? '', admin[1] ?? '', dataDir);
  }

  /** Stops it and returns its exit code. */
  async stop(): Promise<number | null> {
    const code = await this.child.stop();
    await rm(this.dataDir, { recursive: true, force: true });
    return code;
  }
}
