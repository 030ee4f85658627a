import { readdir, readFile } from 'node:fs/promises';

import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  type BrowserServer,
  type Page,
  chromium,
} from 'playwright-core';
import type { TestContext } from 'vitest';

import { logs, within } from './process';

/** What every Chromium of these tests is started with. */
export const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-fake-device-for-media-stream=device-count=2,fps=30',
  '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
];

export async function launchChromium(more: string[] = []): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [...flags, ...more],
  });
}

/** A Chromium of its own whose processes can be stopped where they are, as a machine that crashes does. */
export class FreezableChromium {
  private constructor(
    readonly browser: Browser,
    private readonly server: BrowserServer,
  ) {}

  static async launch(): Promise<FreezableChromium> {
    const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
    const server = await chromium.launchServer({ executablePath, args: flags });
    return new FreezableChromium(await chromium.connect(server.wsEndpoint()), server);
  }

  /** Nothing leaves it any more, not even a goodbye. */
  freeze(): Promise<void> {
    return this.signal('SIGSTOP');
  }

  /** It goes on. */
  thaw(): Promise<void> {
    return this.signal('SIGCONT');
  }

  async close(): Promise<void> {
    await this.browser.close();
    await this.server.close();
  }

  /** To all processes of the browser: its own and those that it has started. */
  private async signal(signal: NodeJS.Signals): Promise<void> {
    const parents = new Map<number, number>();
    for (const name of await readdir('/proc')) {
      const stat = /^\d+$/.test(name) ? await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '') : '';
      // The name of the program may have anything in it; behind it come the state and the parent.
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      if (stat !== '') parents.set(Number(name), parent);
    }
    const root = this.server.process().pid;
    const isOurs = (pid: number | undefined): boolean =>
      pid !== undefined && pid > 1 && (pid === root || isOurs(parents.get(pid)));
    for (const pid of [...parents.keys()].filter(isOurs)) send(pid, signal);
  }
}

/** Sends a signal to a process; one that has ended meanwhile needs none. */
function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** A page of any browser. */
export interface Evaluates {
  evaluate<T>(inside: () => Promise<T>): Promise<T>;
}

const PAGE_TIMEOUT_MS = 30_000;
/** What each page's console said, and which of its requests failed. */
const consoles = new WeakMap<Page, string[]>();

/** A page in a context of its own: of two pages in one context the one behind is throttled. */
export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions & { init?: string } = {},
): Promise<Page> {
  const { init, ...contextOptions } = options;
  const context: BrowserContext = await browser.newContext({
    locale: 'en-US',
    permissions: ['camera', 'microphone'],
    ...contextOptions,
  });
  const page = await context.newPage();
  // A wait that takes longer than this has failed; the test's own limit would end it without a word.
  page.setDefaultTimeout(PAGE_TIMEOUT_MS);
  const said: string[] = [];
  consoles.set(page, said);
  page.on('console', (message) => said.push(`${message.type()}: ${message.text()}`));
  page.on('requestfailed', (request) => said.push(`${request.method()} ${request.url()}: no answer`));
  page.on('response', (response) => {
    if (response.status() >= 400)
      said.push(`${response.request().method()} ${response.url()}: ${response.status()}`);
  });
  page.on('pageerror', (error) => {
    said.push(`error: ${error.message}`);
    console.error(`page error on ${page.url()}: ${error.message}`);
  });
  if (init !== undefined) await page.addInitScript(init);
  await page.goto(url);
  return page;
}

/** A page that hangs says nothing. */
const ANSWER_MS = 5_000;

/** Prints what every open page shows and has said, and the last lines of the servers. */
async function explain(browser: Browser): Promise<void> {
  const pages = browser.contexts().flatMap((context) => context.pages());
  const texts = await Promise.all(
    pages.map(async (page) => {
      const shown = page.evaluate(() => document.body.innerText);
      const text = await within('what it shows', ANSWER_MS, shown).catch(String);
      const said = consoles.get(page)?.slice(-30) ?? [];
      return [`--- ${page.url()}`, text.replace(/\n{2,}/g, '\n'), ...said].join('\n');
    }),
  );
  console.error([...texts, logs()].join('\n'));
}

/** For `afterEach`: closes all pages, those of a test that failed once they have explained themselves. */
export function closePages(browser: () => Browser): (context: TestContext) => Promise<void> {
  return async ({ task }) => {
    if (task.result?.state === 'fail') await explain(browser());
    await Promise.all(
      browser()
        .contexts()
        .map((context) => context.close()),
    );
  };
}

/**
 * Keeps every RTCPeerConnection that a page makes, so that statistics can be read from outside without a
 * word from the page's own code.
 */
export const watchConnections = `(() => {
  const Native = window.RTCPeerConnection;
  const all = (window.__connections = []);
  window.RTCPeerConnection = class extends Native {
    constructor(config) {
      super({ ...config, ...(window.__forceRelay ? { iceTransportPolicy: 'relay' } : {}) });
      all.push(this);
    }
  };
})();`;

/** The camera at 10 frames a second: three encoders and a decoder leave two cores some time for the servers. */
export const calmCamera = `${watchConnections} (() => {
  const native = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = ({ video, ...others }) =>
    native({ ...others, ...(video ? { video: { ...video, frameRate: 10 } } : {}) });
})();`;

/** The encodings of the camera as a publisher's page sends them, by rid. */
export async function sentEncodings(
  page: Evaluates,
): Promise<Record<string, { active: boolean; bytes: number }>> {
  return page.evaluate(async () => {
    const encodings: Record<string, { active: boolean; bytes: number }> = {};
    for (const connection of (window as unknown as { __connections: RTCPeerConnection[] }).__connections) {
      const camera = connection.getTransceivers().find(({ sender }) => sender.track?.kind === 'video');
      if (camera === undefined || connection.connectionState !== 'connected') continue;
      (await camera.sender.getStats()).forEach((entry: Record<string, unknown>) => {
        if (entry.type !== 'outbound-rtp') return;
        const bytes = typeof entry.bytesSent === 'number' ? entry.bytesSent : 0;
        encodings[String(entry.rid)] = { active: entry.active === true, bytes };
      });
    }
    return encodings;
  });
}

/** What a viewer's page has received, from the statistics of its peer connections. */
export interface Received {
  framesDecoded: number;
  freezeCount: number;
  totalFreezesDuration: number;
  audioEnergy: number;
  frameWidth: number;
  frameHeight: number;
  videoBytes: number;
  audioBytes: number;
  candidateType: string;
  codec: string;
}

/** As {@link watchConnections}, and each picture is sent in one encoding: without simulcast there is nothing to switch between. */
export const oneEncoding = `${watchConnections} (() => {
  const native = RTCPeerConnection.prototype.addTransceiver;
  RTCPeerConnection.prototype.addTransceiver = function (track, init = {}) {
    const { rid, ...full } = init.sendEncodings?.at(-1) ?? {};
    return native.call(this, track, { ...init, sendEncodings: [full] });
  };
})();`;

/** As {@link watchConnections}, and media only through a TURN relay. */
export const relayOnly = `window.__forceRelay = true; ${watchConnections}`;

export async function received(page: Evaluates): Promise<Received> {
  return page.evaluate(async () => {
    const connections = (window as unknown as { __connections: RTCPeerConnection[] }).__connections;
    const sum = {
      framesDecoded: 0,
      freezeCount: 0,
      totalFreezesDuration: 0,
      audioEnergy: 0,
      frameWidth: 0,
      frameHeight: 0,
      videoBytes: 0,
      audioBytes: 0,
      candidateType: '',
      codec: '',
    };
    // A pair in use may be in the middle of a check: Chromium names it, Firefox marks it.
    const pathOf = (report: RTCStatsReport): unknown => {
      let path: unknown;
      report.forEach((entry: Record<string, unknown>) => {
        if (entry.type === 'transport') path = entry.selectedCandidatePairId;
        if (entry.type === 'candidate-pair' && entry.selected === true) path ??= entry.id;
      });
      return path;
    };
    for (const connection of connections) {
      if (connection.connectionState !== 'connected') continue;
      const report = await connection.getStats();
      report.forEach((entry: Record<string, unknown>) => {
        const number = (key: string) => (typeof entry[key] === 'number' ? entry[key] : 0);
        if (entry.type === 'inbound-rtp' && entry.kind === 'video') {
          sum.framesDecoded += number('framesDecoded');
          sum.freezeCount += number('freezeCount');
          sum.totalFreezesDuration += number('totalFreezesDuration');
          sum.frameWidth = Math.max(sum.frameWidth, number('frameWidth'));
          sum.frameHeight = Math.max(sum.frameHeight, number('frameHeight'));
          sum.videoBytes += number('bytesReceived');
          const codec = report.get(entry.codecId as string) as { mimeType?: string } | undefined;
          if (number('framesDecoded') > 0) sum.codec = codec?.mimeType ?? '';
        }
        if (entry.type === 'inbound-rtp' && entry.kind === 'audio') {
          sum.audioEnergy += number('totalAudioEnergy');
          sum.audioBytes += number('bytesReceived');
        }
        if (entry.id === pathOf(report)) {
          const local = report.get(entry.localCandidateId as string) as
            { candidateType?: string } | undefined;
          sum.candidateType = local?.candidateType ?? '';
        }
      });
    }
    return sum;
  });
}
