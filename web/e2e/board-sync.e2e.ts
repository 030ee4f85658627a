import { createHmac } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';

import { Signaling } from '../packages/sdk/src/signaling';
import { boardOver } from '../packages/board/src/sync/connect';
import { type Answer, connectWire, type Wire } from '../packages/board/src/sync/wire';
import type { Board } from '../packages/board/src/types';
import { Child, binary, eventually } from './harness/process';

/** Pages of the sync in this process against the real server, which is killed in between: whatever comes, all end equal. */

// Node 20 has none of its own.
Object.assign(globalThis, { WebSocket });

const SECRET = '0123456789abcdef0123456789abcdef';
const ROOM = 'grp_sync';
const PORT = 20_000 + Math.floor(Math.random() * 8_000);
const ADMIN = PORT + 1;

let folder: string;
let server: Child;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'madang-board-'));
  await start();
});

afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

async function start(): Promise<void> {
  const env = {
    SIGNALING_TOKEN_SECRET: SECRET,
    SIGNALING_DATABASE_URL: join(folder, 'signaling.db'),
    SIGNALING_ALLOWED_ORIGINS: 'https://live.example.org',
    SIGNALING_HTTP: `127.0.0.1:${PORT}`,
    SIGNALING_ADMIN: `127.0.0.1:${ADMIN}`,
  };
  server = new Child('signaling', binary('signaling-service'), [], { env });
  await eventually(
    'signaling answers',
    async () => (await fetch(`http://127.0.0.1:${PORT}/room/7/count`)).ok,
  );
}

async function killAndStart(): Promise<void> {
  server.kill('SIGKILL');
  await server.ended();
  await start();
}

function token(sub: string): string {
  const now = Math.floor(Date.now() / 1_000);
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = {
    iss: 'madang',
    aud: 'madang',
    sub,
    iat: now,
    exp: now + 3_600,
    ...{ kind: 'join', room: ROOM, grants: ['subscribe', 'draw', 'moderate'] },
  };
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
}

/** Numbers that are the same in each run. */
function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** What goes wrong between a page and the server. */
class Faults {
  isCut = false;
  readonly listeners = new Set<() => void>();

  /** Of a hundred messages so many are lost, and so many come twice. */
  constructor(public chance: number) {}

  cut(is: boolean): void {
    if (this.isCut === is) return;
    this.isCut = is;
    for (const listener of this.listeners) listener();
  }
}

interface Page {
  name: string;
  signaling: Signaling;
  board: Board;
  /** Keys of what it drew and nobody may lose. */
  drawn: Set<string>;
  faults: Faults;
}

/** A way to the server that loses answers, sends twice, and is cut at will. */
function faulty(wire: Wire, roll: (below: number) => number, faults: Faults): Wire {
  const lost: Answer = { done: false, kind: 'lost', message: '', retryAfterMs: null };
  const spoil = async (send: () => Promise<Answer>): Promise<Answer> => {
    if (faults.isCut) return lost;
    const fate = roll(100);
    // It never gets there.
    if (fate < faults.chance) return lost;
    const answer = await send();
    // The answer does not get here.
    if (fate < 2 * faults.chance) return lost;
    // It gets there twice.
    if (fate < 3 * faults.chance) return send();
    return answer;
  };
  return {
    ...wire,
    isConnected: () => !faults.isCut && wire.isConnected(),
    onConnected: (listener) => {
      faults.listeners.add(() => {
        if (wire.isConnected()) listener(!faults.isCut);
      });
      return wire.onConnected((is) => {
        if (!faults.isCut) listener(is);
      });
    },
    onEvent: (listener) =>
      wire.onEvent((event) => {
        if (faults.isCut) return;
        const fate = roll(100);
        if (fate < faults.chance) return;
        listener(event);
        if (fate < 2 * faults.chance) listener(event);
      }),
    ask: async (command) => spoil(async () => wire.ask(command)),
    post: async (as, update) => spoil(async () => wire.post(as, update)),
    document: async (state) => {
      if (faults.isCut) throw new Error('cut');
      return wire.document(state);
    },
  };
}

function open(name: string, roll: (below: number) => number, chance: number): Page {
  const signaling = new Signaling({
    url: `ws://127.0.0.1:${PORT}/streaming`,
    token: () => Promise.resolve(token(name)),
  });
  const faults = new Faults(chance);
  const wire = connectWire({
    signaling,
    url: `http://127.0.0.1:${PORT}`,
    room: ROOM,
    token: () => Promise.resolve(token(name)),
  });
  const board = boardOver(faulty(wire, roll, faults));
  signaling.start();
  return { name, signaling, board, drawn: new Set(), faults };
}

function objects(page: Page): Y.Map<Y.Map<unknown>> {
  return page.board.doc.get().getMap<Y.Map<unknown>>('objects');
}

/** Something that a person does. */
function act(page: Page, roll: (below: number) => number, step: number): void {
  const doc = page.board.doc.get();
  const all = objects(page);
  const keys = [...all.keys()].filter((key) => !key.startsWith('keep'));
  const any = keys[roll(Math.max(keys.length, 1))];
  doc.transact(() => {
    const what = roll(10);
    if (what < 5 || any === undefined) {
      const key = `${what < 3 ? 'keep' : 'loose'}-${page.name}-${step}`;
      const points = new Uint8Array(roll(40) === 0 ? 40_000 : 20 + roll(400)).fill(roll(256));
      all.set(
        key,
        new Y.Map<unknown>([
          ['points', points],
          ['t', [step]],
          ['text', new Y.Text('a한')],
        ]),
      );
      if (what < 3) page.drawn.add(key);
    } else if (what < 7) all.get(any)?.set('t', [step, roll(100)]);
    else if (what < 9) {
      const text = all.get(any)?.get('text');
      if (text instanceof Y.Text) text.insert(Math.min(roll(4), text.length), `${step}`);
    } else all.delete(any);
  }, page.board.origin);
}

function picture(page: Page): string {
  const json = objects(page).toJSON() as Record<string, Record<string, unknown>>;
  const sorted = Object.keys(json)
    .sort()
    .map((key) => {
      const { points, ...rest } = json[key] ?? {};
      return [key, rest, points instanceof Uint8Array ? [points.length, points[0]] : null];
    });
  return JSON.stringify(sorted);
}

async function settled(pages: Page[], timeoutMs: number): Promise<void> {
  const isEven = (): boolean => {
    const states = pages.map((page) => page.board.state.get());
    const isDone = states.every(({ phase, unsent }) => phase === 'ready' && unsent === 0);
    return isDone && new Set(pages.map(picture)).size === 1;
  };
  try {
    await eventually('all pages are equal', isEven, timeoutMs);
  } catch (error) {
    for (const page of pages) console.log(page.name, page.board.state.get(), objects(page).size);
    throw error;
  }
}

const pause = async (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

function steadily(page: Page): void {
  // The tests do not wait as long as a thousand pages that come back at once have to.
  if (page.signaling.state === 'lost') page.signaling.hurry();
}

async function run(seed: number, steps: number, options: { kill: boolean; renew: boolean }): Promise<void> {
  const roll = dice(seed);
  const pages = ['anna', 'bert', 'cleo'].map((name) => open(`par_${name}_${seed}`, roll, 4));
  const hurry = setInterval(() => pages.forEach(steadily), 300);
  try {
    for (const page of pages)
      await eventually(`${page.name} is ready`, () => page.board.state.get().phase === 'ready', 30_000);
    for (let step = 0; step < steps; step += 1) {
      const page = pages[roll(pages.length)];
      if (page === undefined) continue;
      act(page, roll, step);
      const fate = roll(100);
      if (fate < 4) {
        page.faults.cut(true);
      } else if (fate < 20) for (const other of pages) other.faults.cut(false);
      if (fate % 3 === 0) await pause(roll(60));
      if (options.kill && step % 60 === 59) await killAndStart();
      if (options.renew && step % 80 === 79) await renew(pages);
    }
    // What was lost of the topic on a connection that lives, which STOMP does not do, is noticed with the next connection.
    for (const page of pages) {
      page.faults.chance = 0;
      page.faults.cut(true);
      page.faults.cut(false);
    }
    await settled(pages, 60_000);
    // Nothing that was drawn is lost. (A new document may be made of one that lacks what came a moment later.)
    const there = new Set(pages.slice(0, 1).flatMap((page) => [...objects(page).keys()]));
    for (const page of pages) for (const key of page.drawn) expect(there, key).toContain(key);
    expect(there.size).toBeGreaterThan(steps / 5);
    // Who comes now finds the same.
    const late = open(`par_late_${seed}`, roll, 0);
    pages.push(late);
    await settled(pages, 20_000);
  } finally {
    clearInterval(hurry);
    for (const page of pages) {
      page.board.close();
      await page.signaling.close();
    }
  }
}

/** Puts the board's own snapshot in its place: a new epoch. */
async function renew(pages: Page[]): Promise<void> {
  const headers = { authorization: `Bearer ${token('par_host')}` };
  const url = `http://127.0.0.1:${PORT}/boards/${ROOM}/snapshot`;
  // Whatever is acknowledged in between would be undone by it: everybody holds still.
  for (const page of pages) page.faults.cut(true);
  await pause(300);
  const json = await (await fetch(url, { headers })).text();
  const put = await fetch(url, { method: 'PUT', headers, body: json });
  expect(put.status).toBe(204);
  for (const page of pages) page.faults.cut(false);
}

/** E2E_SEEDS=50 is the long form. */
const SEEDS = Number(process.env.E2E_SEEDS ?? 2);

it(
  'ends equal whatever is lost, repeated, cut and killed',
  async () => {
    for (let seed = 1; seed <= SEEDS + 1; seed += 1) await run(seed, 240, { kill: true, renew: false });
  },
  120_000 * SEEDS,
);

it(
  'ends equal over new documents, and draws what was not sent on them',
  async () => {
    for (let seed = 1; seed <= SEEDS; seed += 1) await run(1_000 + seed, 240, { kill: false, renew: true });
  },
  120_000 * SEEDS,
);
