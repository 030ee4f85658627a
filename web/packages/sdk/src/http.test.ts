// @vitest-environment node
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HttpSession } from './http-session.js';
import { MetaApi } from './meta-api.js';
import { ApiError, NetworkError, parseRetryAfter, request } from './problem.js';

interface Seen {
  method: string;
  url: string;
  headers: IncomingMessage['headers'];
  body: string;
}

let server: Server;
let base: string;
let seen: Seen[];
let answer: (seen: Seen, response: ServerResponse) => void;

beforeEach(async () => {
  seen = [];
  server = createServer((incoming, response) => {
    let body = '';
    incoming.on('data', (chunk: Buffer) => (body += chunk.toString()));
    incoming.on('end', () => {
      const one = { method: incoming.method ?? '', url: incoming.url ?? '', headers: incoming.headers, body };
      seen.push(one);
      answer(one, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const OFFER =
  'v=0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:aaaa\r\na=ice-pwd:0123456789012345678901\r\n';

describe('request', () => {
  it('turns a problem into its error', async () => {
    answer = (_, response) =>
      response
        .writeHead(409, { 'Content-Type': 'application/problem+json', 'Retry-After': '2' })
        .end(
          JSON.stringify({ type: '/problems/closed', title: 'Closed', status: 409, detail: 'it is over' }),
        );
    const error = await request(base).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 409, code: 'closed', detail: 'it is over', retryAfterMs: 2_000 });
  });

  it('copes with answers that are no problem documents', async () => {
    answer = (_, response) => response.writeHead(502, { 'Content-Type': 'application/json' }).end('<html>');
    await expect(request(base)).rejects.toMatchObject({ status: 502, code: '', detail: '' });
  });

  it('tells a server that is not there from one that refuses', async () => {
    server.close();
    server.closeAllConnections();
    await expect(request(base)).rejects.toBeInstanceOf(NetworkError);
  });
});

describe('parseRetryAfter', () => {
  it('reads seconds and dates, within its cap', () => {
    expect(parseRetryAfter('3')).toBe(3_000);
    expect(parseRetryAfter('9999')).toBe(30_000);
    expect(parseRetryAfter('Thu, 01 Jan 1970 00:00:05 GMT', 1_000)).toBe(4_000);
    expect(parseRetryAfter('soon')).toBeUndefined();
    expect(parseRetryAfter(null)).toBeUndefined();
  });
});

describe('HttpSession', () => {
  it('opens, trickles, restarts and removes at the relative Location', async () => {
    answer = ({ method, headers }, response) => {
      if (method === 'POST') {
        response.writeHead(201, {
          'Content-Type': 'application/sdp',
          Location: '7/ses_1',
          ETag: '"one"',
          Link: '<stun:s.example>; rel="ice-server"',
        });
        response.end(OFFER);
      } else if (method === 'PATCH' && headers['if-match'] === '*') {
        response.writeHead(200, { 'Content-Type': 'application/trickle-ice-sdpfrag', ETag: '"two"' });
        response.end('a=ice-ufrag:bbbb\r\na=ice-pwd:9876543210987654321098\r\n');
      } else response.writeHead(204).end();
    };
    const {
      session,
      answer: sdp,
      iceServers,
    } = await HttpSession.open(`${base}/whip/7`, OFFER, 'key', new AbortController().signal);
    expect(sdp).toBe(OFFER);
    expect(iceServers).toEqual([{ urls: ['stun:s.example'] }]);
    await session.trickle(OFFER, ['candidate:1'], true);
    await expect(session.restart(OFFER)).resolves.toContain('a=ice-ufrag:bbbb');
    await session.trickle(OFFER, [], true);
    await session.remove();
    expect(seen.map(({ method, url, headers }) => [method, url, headers['if-match'] ?? null])).toEqual([
      ['POST', '/whip/7', null],
      ['PATCH', '/whip/7/ses_1', '"one"'],
      ['PATCH', '/whip/7/ses_1', '*'],
      ['PATCH', '/whip/7/ses_1', '"two"'],
      ['DELETE', '/whip/7/ses_1', null],
    ]);
    expect(seen.every(({ headers }) => headers.authorization === 'Bearer key')).toBe(true);
    expect(seen[1]?.headers['content-type']).toBe('application/trickle-ice-sdpfrag');
    expect(seen[1]?.body).toContain('a=candidate:1\r\na=end-of-candidates\r\n');
  });

  it('takes a session that is gone as removed, and no other refusal', async () => {
    let status = 404;
    answer = ({ method }, response) =>
      method === 'POST'
        ? response.writeHead(201, { Location: '/s/1' }).end(OFFER)
        : response.writeHead(status).end();
    const { session } = await HttpSession.open(
      `${base}/whep/7`,
      OFFER,
      undefined,
      new AbortController().signal,
    );
    await session.remove();
    status = 500;
    await expect(session.remove()).rejects.toMatchObject({ status: 500 });
    expect(seen[0]?.headers.authorization).toBeUndefined();
  });

  it('refuses an endpoint that names no session', async () => {
    answer = (_, response) => response.writeHead(200).end(OFFER);
    const opening = HttpSession.open(`${base}/whep/7`, OFFER, undefined, new AbortController().signal);
    await expect(opening).rejects.toMatchObject({ code: 'no-session' });
  });
});

describe('MetaApi', () => {
  it('asks for what is wanted and leaves the rest out', async () => {
    answer = (_, response) => response.writeHead(200, { 'Content-Type': 'application/json' }).end('[]');
    await new MetaApi(base).list({ q: 'a&b', status: 'STREAMING', sort: 'viewers', limit: 5 });
    await new MetaApi(base).list({ q: '' });
    expect(seen.map(({ url }) => url)).toEqual([
      '/broadcasts?q=a%26b&status=STREAMING&sort=viewers&limit=5',
      '/broadcasts',
    ]);
  });

  it('creates with an idempotency key and no token of its own', async () => {
    answer = (_, response) => response.writeHead(201, { 'Content-Type': 'application/json' }).end('{"id":7}');
    const created = await new MetaApi(base).create({ name: 'n', description: '' }, 'once');
    expect(created.id).toBe(7);
    expect(seen[0]).toMatchObject({
      method: 'POST',
      url: '/broadcasts',
      body: '{"name":"n","description":""}',
    });
    expect(seen[0]?.headers).toMatchObject({ 'idempotency-key': 'once', 'content-type': 'application/json' });
    expect(seen[0]?.headers.authorization).toBeUndefined();
  });

  it('asks for groups by their ids, whatever those say', async () => {
    answer = (_, response) => response.writeHead(200, { 'Content-Type': 'application/json' }).end('{}');
    const api = new MetaApi(base);
    await api.createGroup({ name: 'n', max_participants: 4 }, 'once');
    await api.group('grp_a');
    await api.updateGroup('grp_a', { admission: 'key' }, 'owner');
    await api.groupToken('grp_a', { name: 'Mina' }, 'token');
    await api.groupToken('../broadcasts/7');
    await api.deleteGroup('grp_a', 'owner');
    expect(seen.map(({ method, url, body }) => [method, url, body])).toEqual([
      ['POST', '/groups', '{"name":"n","max_participants":4}'],
      ['GET', '/groups/grp_a', ''],
      ['PATCH', '/groups/grp_a', '{"admission":"key"}'],
      ['POST', '/groups/grp_a/token', '{"name":"Mina"}'],
      ['POST', '/groups/..%2Fbroadcasts%2F7/token', '{}'],
      ['DELETE', '/groups/grp_a', ''],
    ]);
    expect(seen.map(({ headers }) => headers.authorization)).toEqual([
      undefined,
      undefined,
      'Bearer owner',
      'Bearer token',
      undefined,
      'Bearer owner',
    ]);
    expect(seen[0]?.headers['idempotency-key']).toBe('once');
  });
});
