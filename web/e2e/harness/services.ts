import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Child, binary, eventually, root } from './process';

const names = ['meta-service', 'signaling-service', 'sfu-service', 'turn-relay'] as const;

/** Those that a test ends and starts again. */
type Kept = 'signaling-service' | 'sfu-service';
const kept: readonly Kept[] = ['signaling-service', 'sfu-service'];

/** The four services as four processes on one Postgres. */
export class Services {
  private constructor(
    readonly child: Child,
    readonly url: string,
    readonly dataDir: string,
  ) {}

  static async start(): Promise<Services> {
    const dataDir = await mkdtemp(join(tmpdir(), 'madang-services-'));
    const bin = join(dataDir, 'bin');
    await mkdir(bin);
    for (const name of names) {
      if (!kept.some((other) => other === name)) await symlink(binary(name), join(bin, name));
    }
    for (const name of kept) {
      await writeFile(join(bin, name), keeper(dataDir, name));
      await chmod(join(bin, name), 0o755);
    }
    // Services that find each other by setting need ports that are known beforehand.
    const base = 20_000 + Math.floor(Math.random() * 8_000);
    const ports = ['META', 'SIGNALING', 'SFU', 'TURN', 'MEDIA'].map((name, index) => [
      `PORT_${name}`,
      `${base + index}`,
    ]);
    const env = { DATA_DIR: dataDir, ...(Object.fromEntries(ports) as Record<string, string>) };
    const child = new Child('run-services', join(root, 'scripts/run-services'), [bin], { env });
    const home = await child.line(/^\s*Home\s+(http:\S+?)\/?$/, 60_000);
    return new Services(child, home[1] ?? '', dataDir);
  }

  /** Ends a service at once, without a word to anybody, and keeps it away. */
  async kill(name: Kept): Promise<void> {
    await writeFile(join(this.dataDir, `${name}.hold`), '');
    process.kill(await this.pid(name), 'SIGKILL');
  }

  /** Starts it again, knowing nothing. */
  async restart(name: Kept): Promise<void> {
    const before = await this.pid(name);
    await rm(join(this.dataDir, `${name}.hold`));
    await eventually('another process', async () => (await this.pid(name)) !== before);
  }

  /** Stops all of them and returns the exit code. */
  async stop(): Promise<number | null> {
    const code = await this.child.stop(30_000);
    await rm(this.dataDir, { recursive: true, force: true });
    return code;
  }

  private async pid(name: Kept): Promise<number> {
    return Number(await readFile(join(this.dataDir, `${name}.pid`), 'utf8'));
  }
}

/** Stands where a service is looked for: one that ends would take the others with it. */
function keeper(dataDir: string, name: Kept): string {
  return `#!/bin/sh
trap 'kill -TERM "$pid" 2>/dev/null; wait "$pid"; exit 0' TERM
while :; do
  '${binary(name)}' &
  pid=$!
  echo "$pid" >'${dataDir}/${name}.pid'
  wait "$pid"
  while [ -e '${dataDir}/${name}.hold' ]; do sleep 0.2; done
done
`;
}
