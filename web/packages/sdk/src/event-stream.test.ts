// @vitest-environment node
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EventStreamParser, followEvents, type ServerEvent } from './event-stream.js';

describe('EventStreamParser', () => {
  const text =
    ': hello\n\nevent: encodings\r\ndata: {"a":1}\r\ndata:{"b":2}\r\n\r\ndata: x\n\nid: 7\n\nevent: lost\n';

  it('finds the same events however the text is cut', () => {
    const expected: ServerEvent[] = [
      { type: 'encodings', data: '{"a":1}\n{"b":2}' },
      { type: 'message', data: 'x' },
    ];
    for (let size = 1; size <= text.length; size += 1) {
      const parser = new EventStreamParser();
      const events = [];
      for (let at = 0; at < text.length; at += size) events.push(...parser.push(text.slice(at, at + size)));
      expect(events, `chunks of ${size}`).toEqual(expected);
    }
  });

  it('has a limit for an event, and none for comments', () => {
    const parser = new EventStreamParser();
    for (let line = 0; line < 10_000; line += 1) parser.push(': nothing happens\n');
    expect(() => parser.push(`data: ${'x'.repeat(70_000)}`)).toThrow(RangeError);
    const lines = new EventStreamParser();
    expect(() => lines.push('data: 0123456789\n'.repeat(10_000))).toThrow(RangeError);
  });
});

describe('followEvents', () => {
  let server: Server;
  let base: string;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;

  beforeEach(async () => {
    server = createServer((request, response) => answer(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  it('sends the bearer, opens a broken stream again and ends where it is refused for good', async () => {
    const authorizations: (string | undefined)[] = [];
    answer = (request, response) => {
      authorizations.push(request.headers.authorization);
      const tries = authorizations.length;
      if (tries === 3) response.writeHead(404).end();
      else if (tries === 2) response.writeHead(503).end();
      else response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end('data: once\n\ndata: cut');
    };
    const events: ServerEvent[] = [];
    await followEvents(base, 'key', new AbortController().signal, (event) => events.push(event));
    expect(events).toEqual([{ type: 'message', data: 'once' }]);
    expect(authorizations).toEqual(['Bearer key', 'Bearer key', 'Bearer key']);
  });

  it('hears an event while the stream stays open, and lets go when it is told to', async () => {
    const closed = new Promise<void>((resolve) => {
      answer = (request, response) => {
        request.on('close', resolve);
        response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('event: e\ndata: 1\n\n');
      };
    });
    const control = new AbortController();
    const heard = new Promise<ServerEvent>((resolve) => {
      followEvents(base, undefined, control.signal, resolve).catch(() => undefined);
    });
    expect(await heard).toEqual({ type: 'e', data: '1' });
    control.abort();
    await closed;
  });
});
