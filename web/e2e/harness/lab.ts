import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { type Browser, chromium } from 'playwright-core';

import { flags } from './browser';
import { type Broadcast, Pages } from './pages';
import { Child, binary, root } from './process';

const run = promisify(execFile);

/** What the wire does, the same both ways. */
export interface WireSettings {
  /** Milliseconds one way. */
  delay: number;
  /** Percent. */
  loss: number;
  /** kbit/s; as much as there is, if absent. */
  rate?: number;
}

interface Kind {
  name: 'wire' | 'nat' | 'nats';
  /** Where the server is, as browsers reach it. */
  address: string;
}

const wireKind: Kind = { name: 'wire', address: '10.77.0.1' };
const natKind: Kind = { name: 'nat', address: '10.77.2.2' };
const natsKind: Kind = { name: 'nats', address: '10.77.2.2' };

/**
 * A network of its own with a browser at one end and madang at the other. Everything that it starts and makes is
 * gone after `close`, and also if it comes up only in part.
 */
export class Lab {
  private readonly undo: (() => Promise<unknown>)[] = [];
  private wireProcess: ChildProcess | undefined;
  private port = '';
  browser!: Browser;
  /** The second client's browser, where the laboratory has one. */
  other: Browser | undefined;
  pages!: Pages;

  private constructor(
    private readonly kind: Kind,
    private readonly name: string,
  ) {}

  /** Browser and server with a wire between them, without loss or delay until `set` is called. */
  static wire(): Promise<Lab> {
    return Lab.start(wireKind, (lab) => lab.startWire());
  }

  /** The browser behind a symmetric NAT. */
  static nat(): Promise<Lab> {
    return Lab.start(natKind, () => Promise.resolve());
  }

  /** Two browsers, each behind a symmetric NAT of its own. */
  static nats(): Promise<Lab> {
    return Lab.start(natsKind, () => Promise.resolve());
  }

  /** The server's pages, as the browsers reach them. */
  get url(): string {
    return `http://${this.kind.address}:${this.port}`;
  }

  /** Changes the wire while it carries traffic. */
  set({ delay, loss, rate = 0 }: WireSettings): void {
    this.wireProcess?.stdin?.write(`delay=${delay} loss=${loss} rate=${rate}\n`);
  }

  /** The pages in another browser, at the server's end of the wire: what it sends and gets does not cross it. */
  async pagesAtServer(): Promise<Pages> {
    return new LabPages(this, this.url, await this.launch('srv'));
  }

  /** One body of the server's REST interface, asked for at the server's end: the wire does not matter. */
  async get(path: string): Promise<unknown> {
    const url = `http://${this.kind.address}:${this.port}${path}`;
    const script = `fetch(${JSON.stringify(url)}).then(async (r) => console.log(await r.text()))`;
    const { stdout } = await run('ip', ['netns', 'exec', `${this.name}-srv`, process.execPath, '-e', script]);
    return JSON.parse(stdout) as unknown;
  }

  /** Ends the browser, the server and the wire, and removes the namespaces. */
  async close(): Promise<void> {
    for (const undo of this.undo.splice(0).reverse()) {
      await undo().catch((error: unknown) => console.error(`cleaning up: ${String(error)}`));
    }
  }

  private static async start(kind: Kind, link: (lab: Lab) => Promise<void>): Promise<Lab> {
    // Names of namespaces are the machine's: two runs at a time must not meet.
    const lab = new Lab(kind, `mt${process.pid.toString(36)}${Date.now().toString(36).slice(-3)}`);
    try {
      lab.undo.push(() => run(join(root, 'lab/netns'), ['down', lab.name]));
      await run(join(root, 'lab/netns'), ['up', kind.name, lab.name]);
      await link(lab);
      await lab.startMadang();
      await lab.startBrowser();
      return lab;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  private async startWire(): Promise<void> {
    const command = ['netns', 'exec', `${this.name}-mid`, 'python3', join(root, 'lab/wire.py'), 'a', 'b'];
    const wire = spawn('ip', [...command, '--seconds', '600'], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.wireProcess = wire;
    const ended = once(wire, 'exit');
    this.undo.push(async () => {
      // It ends when its input does.
      wire.stdin.end();
      await ended;
    });
    await Promise.race([
      once(wire.stdout, 'data'),
      ended.then(() => Promise.reject(new Error('the wire did not come up'))),
    ]);
  }

  private async startMadang(): Promise<void> {
    const data = await mkdtemp(join(tmpdir(), 'madang-lab-'));
    this.undo.push(() => rm(data, { recursive: true, force: true }));
    const ports = ['http', 'https', 'admin', 'media', 'turn'].flatMap((port) => [`--${port}-port`, '0']);
    const command = ['netns', 'exec', `${this.name}-srv`, binary('madang'), '--dev', '--data-dir', data];
    const child = new Child('madang', 'ip', [...command, ...ports, '--public-ip', this.kind.address]);
    this.undo.push(() => child.stop());
    this.port = (await child.line(/^\s*Home\s+http:\S+?:(\d+)/))[1] ?? '';
  }

  private async startBrowser(): Promise<void> {
    this.browser = await this.launch('cli');
    if (this.kind.name === 'nats') this.other = await this.launch('cli2');
    this.pages = new LabPages(this, this.url);
  }

  private async launch(client: string): Promise<Browser> {
    const folder = await mkdtemp(join(tmpdir(), 'madang-lab-'));
    this.undo.push(() => rm(folder, { recursive: true, force: true }));
    const wrapper = join(folder, 'chromium');
    const native = process.env.CHROMIUM ?? '/usr/bin/chromium';
    await writeFile(wrapper, `#!/bin/sh\nexec ip netns exec ${this.name}-${client} ${native} "$@"\n`);
    await chmod(wrapper, 0o755);
    const browser = await chromium.launch({
      executablePath: wrapper,
      args: [...flags, `--unsafely-treat-insecure-origin-as-secure=${this.url}`],
    });
    this.undo.push(() => browser.close());
    return browser;
  }
}

class LabPages extends Pages {
  constructor(
    private readonly lab: Lab,
    url: string,
    browser = lab.browser,
  ) {
    super(browser, url);
  }

  override async broadcast(number: number): Promise<Broadcast> {
    return (await this.lab.get(`/broadcasts/${number}`)) as Broadcast;
  }
}
