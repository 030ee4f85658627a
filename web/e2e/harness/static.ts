import { readFile } from 'node:fs/promises';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';

import { root } from './process';

const files: Record<string, [path: string, type: string]> = {
  '/streamer.html': [join(import.meta.dirname, '../fixtures/p2p-streamer.html'), 'text/html'],
  '/viewer.html': [join(import.meta.dirname, '../fixtures/p2p-viewer.html'), 'text/html'],
  '/stomp.umd.min.js': [
    join(root, 'web/node_modules/@stomp/stompjs/bundles/stomp.umd.min.js'),
    'text/javascript',
  ],
};

/** Serves the fixture pages from an origin of their own, as the original front end was. */
export async function serveFixtures(): Promise<{ url: string; server: Server }> {
  const server = createServer((request, response) => {
    const file = files[new URL(request.url ?? '/', 'http://h').pathname];
    if (file === undefined) {
      response.writeHead(404).end();
      return;
    }
    void readFile(file[0]).then((data) => response.writeHead(200, { 'content-type': file[1] }).end(data));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
};

/** Serves a folder of built pages from an origin of its own; `change` is made to each HTML file. */
export async function serveFolder(
  folder: string,
  change: (html: string) => string,
): Promise<{ url: string; server: Server }> {
  const server = createServer((request, response) => {
    // The URL has no way up out of the folder any more.
    const { pathname } = new URL(request.url ?? '/', 'http://h');
    const path = join(folder, pathname === '/' ? 'index.html' : pathname);
    const type = TYPES[extname(path)] ?? 'application/octet-stream';
    readFile(path).then(
      (data) => {
        const body = type === 'text/html' ? change(data.toString()) : data;
        response.writeHead(200, { 'content-type': type }).end(body);
      },
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}
