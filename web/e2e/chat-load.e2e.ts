import type { Browser, Page, WebSocketRoute } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { calmCamera, closePages, launchChromium, openPage } from './harness/browser';
import { Madang } from './harness/madang';
import { Pages, id } from './harness/pages';

// The watch page in front of a chat of thousands. What the server would send is made here, since it limits who writes:
// the page, its connection and its reader are the real ones. No figure is asserted but what is shown; they are printed.

let madang: Madang;
let browser: Browser;

beforeAll(async () => {
  [madang, browser] = await Promise.all([Madang.start(), launchChromium()]);
});
afterAll(async () => {
  await browser.close();
  await madang.stop();
});
afterEach(closePages(() => browser));

/** Speaks STOMP for the chat of a broadcast, and says nothing of anything else. */
class ChatServer {
  private seq = 0;
  private subscription = '';
  private socket: WebSocketRoute | null = null;

  constructor(private readonly room: number) {}

  take(socket: WebSocketRoute): void {
    this.socket = socket;
    socket.onMessage((data) => {
      for (const frame of data.toString().split('\0')) this.hear(frame.replace(/^\n+/, ''));
    });
  }

  get isOpen(): boolean {
    return this.subscription !== '';
  }

  /** So many messages at once, of different people. */
  says(count: number): void {
    for (let one = 0; one < count; one += 1) {
      this.seq += 1;
      const from = `par_${this.seq % 997}`;
      const text = `Message ${this.seq} of somebody in a crowd, as long as they are: https://example.org/${this.seq}`;
      this.tell({
        type: 'message',
        seq: this.seq,
        from,
        name: `P${from}`,
        host: false,
        text,
        at: Date.now(),
      });
    }
  }

  private hear(frame: string): void {
    if (frame.startsWith('CONNECT') || frame.startsWith('STOMP'))
      this.socket?.send('CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\0');
    const subscribed = /^SUBSCRIBE\n(?:.*\n)*?\n/.exec(frame)?.[0] ?? '';
    if (!subscribed.includes(`destination:/topic/-/chat/${this.room}\n`)) return;
    this.subscription = /\nid:(.*)\n/.exec(subscribed)?.[1] ?? '';
    const you = { id: 'par_me', moderator: false };
    this.tell({ type: 'open', epoch: 1, last: 0, settings: { slow_seconds: 0 }, you });
  }

  private tell(body: object): void {
    const head = `subscription:${this.subscription}\nmessage-id:${this.seq}\ndestination:/topic/-/chat/${this.room}`;
    this.socket?.send(`MESSAGE\n${head}\n\n${JSON.stringify(body)}\0`);
  }
}

interface Entry {
  cat: string;
  name: string;
  ph: string;
  ts: number;
  dur?: number;
  tid: number;
  args?: { data?: { frame?: string } };
}

/** What of a page's main thread runs scripts, or lays out because of them. */
const SCRIPTS = new Set([
  'FunctionCall',
  'EvaluateScript',
  'TimerFire',
  'FireAnimationFrame',
  'RunMicrotasks',
]);

/** Milliseconds of script in each 1/60 s of what was traced, the frames without any included. */
async function traced(page: Page, inside: () => Promise<void>): Promise<number[]> {
  const session = await page.context().newCDPSession(page);
  const events: Entry[] = [];
  session.on('Tracing.dataCollected', ({ value }) => events.push(...(value as unknown as Entry[])));
  await session.send('Tracing.start', { transferMode: 'ReportEvents', categories: 'devtools.timeline,v8' });
  await inside();
  const complete = new Promise((resolve) => session.once('Tracing.tracingComplete', resolve));
  await session.send('Tracing.end');
  await complete;
  const scripts = events.filter(({ name, ph, dur }) => ph === 'X' && dur !== undefined && SCRIPTS.has(name));
  // The page's thread is the one that runs most.
  const byThread = new Map<number, number>();
  for (const { tid, dur = 0 } of scripts) byThread.set(tid, (byThread.get(tid) ?? 0) + dur);
  const [thread] = [...byThread].sort(([, a], [, b]) => b - a)[0] ?? [0];
  const own = scripts.filter(({ tid }) => tid === thread).sort((a, b) => a.ts - b.ts);
  const [start, end] = [own[0]?.ts ?? 0, own.at(-1)?.ts ?? 0];
  const frames = new Array<number>(Math.ceil((end - start) / 16_667) + 1).fill(0);
  let until = -Infinity;
  for (const { ts, dur = 0 } of own) {
    // What runs inside of another one is counted with it.
    if (ts < until) continue;
    until = ts + dur;
    const frame = Math.floor((ts - start) / 16_667);
    frames[frame] = (frames[frame] ?? 0) + dur / 1_000;
  }
  return frames;
}

function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test.each([
  { what: '10 a second', perTick: 1, tickMs: 100, bursts: 0, seconds: 15 },
  { what: '10,000 a minute', perTick: 8, tickMs: 48, bursts: 0, seconds: 20 },
  { what: '10,000 a minute and bursts of 300', perTick: 8, tickMs: 48, bursts: 300, seconds: 20 },
])(
  'a chat of $what is shown smoothly',
  async ({ what, perTick, tickMs, bursts, seconds }) => {
    const { id: number } = await new Pages(browser, madang.url).create('Crowd');
    const server = new ChatServer(number);
    const page = await openPage(browser, `${madang.url}/config.json`, { init: calmCamera });
    await page.routeWebSocket(/\/streaming$/, (socket) => server.take(socket));
    await page.goto(`${madang.url}/watch/${number}`);
    await page.locator(`${id('chat')}[data-connection="connected"]`).waitFor();
    await expect.poll(() => server.isOpen).toBe(true);
    let sent = 0;
    const say = (count: number): void => {
      server.says(count);
      sent += count;
    };
    // Everything is compiled and the list is full.
    say(100);
    await sleep(2_000);
    const from = sent;
    const begun = Date.now();
    const frames = await traced(page, async () => {
      for (let tick = 0; Date.now() - begun < seconds * 1_000; tick += 1) {
        // By the clock: timers of a busy machine are late.
        say(Math.max(0, Math.round(((Date.now() - begun) / tickMs) * perTick) - (sent - from)));
        if (bursts > 0 && tick % Math.round(4_000 / tickMs) === 20) server.says(bursts);
        await sleep(tickMs);
      }
    });
    const figures = [0.5, 0.95, 0.99, 1].map((part) => percentile(frames, part).toFixed(1));
    const mean = frames.reduce((sum, frame) => sum + frame, 0) / frames.length;
    const over = frames.filter((frame) => frame > 4).length;
    const rows = await page.locator(id('chat-message')).count();
    console.log(
      `${what}: ${sent - from} messages in ${seconds} s; script per frame, ms: mean ${mean.toFixed(2)}, p50 ${figures[0]}, p95 ${figures[1]}, p99 ${figures[2]}, max ${figures[3]}; ${over} of ${frames.length} frames above 4 ms; ${rows} rows`,
    );
    expect(rows).toBeLessThanOrEqual(320);
    const last = page.locator(id('chat-message')).last();
    if (perTick > 1) {
      await page.locator(id('chat-busy')).waitFor();
      await page.screenshot({ path: 'test-results/chat-busy.png' });
    } else expect(await last.innerText()).toContain('crowd');
    expect(await page.locator(id('chat-newer')).count()).toBe(0);
  },
  120_000,
);
