import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Child, binary, eventually, root } from './process';

const names = ['meta-service', 'signaling-service', 'sfu-service', 'turn-relay'] as const;

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
      if (name !== 'signaling-service') await symlink(binary(name), join(bin, name));
    }
    await writeFile(join(bin, 'signaling-service'), keeper(dataDir));
    await chmod(join(bin, 'signaling-service'), 0o755);
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

  /** Ends signaling at once, without a word to anybody, and keeps it away. */
  async killSignaling(): Promise<void> {
    await writeFile(join(this.dataDir, 'hold'), '');
    process.kill(await this.signalingPid(), 'SIGKILL');
  }

  /** Starts it again, knowing nothing. */
  async restartSignaling(): Promise<void> {
    const before = await this.signalingPid();
    await rm(join(this.dataDir, 'hold'));
    await eventually('another signaling process', async () => (await this.signalingPid()) !== before);
  }

  /** Stops all of them and returns the exit code. */
  async stop(): Promise<number | null> {
    const code = await this.child.stop(30_000);
    await rm(this.dataDir, { recursive: true, force: true });
    return code;
  }

  private async signalingPid(): Promise<number> {
    return Number(await readFile(join(this.dataDir, 'signaling.pid'), 'utf8'));
  }
}

/** Stands where the signaling service is looked for: one service that ends would take the others with it. */
function keeper(dataDir: string): string {
  return `#!/bin/sh
trap 'kill -TERM "$pid" 2>/dev/null; wait "$pid"; exit 0' TERM
while :; do
  '${binary('signaling-service')}' &
  pid=$!
  echo "$pid" >'${dataDir}/signaling.pid'
  wait "$pid"
  while [ -e '${dataDir}/hold' ]; do sleep 0.2; done
done
`;
}
