import { readFile } from 'node:fs/promises';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

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
