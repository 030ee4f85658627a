import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createServer, defaultClientConditions, type ViteDevServer } from 'vite';

const services = ['/groups', '/ice-servers', '/config.json', '/rooms'];

/** Serves the switchboard page, made of the SDK's sources, and passes on what is for the services. */
export async function serveSwitchboard(madang: string): Promise<{ url: string; close: () => Promise<void> }> {
  const cacheDir = await mkdtemp(join(tmpdir(), 'madang-switchboard-'));
  const server: ViteDevServer = await createServer({
    configFile: false,
    root: join(import.meta.dirname, '../fixtures/switchboard'),
    cacheDir,
    logLevel: 'silent',
    resolve: { conditions: ['@madang/source', ...defaultClientConditions] },
    // Found before the first page asks: what is found later loads the page anew.
    optimizeDeps: { include: ['@madang/sdk > @stomp/stompjs'] },
    server: {
      host: '127.0.0.1',
      port: 0,
      hmr: false,
      watch: null,
      fs: { strict: false },
      proxy: {
        ...Object.fromEntries(services.map((path) => [path, { target: madang, changeOrigin: true }])),
        '/streaming': { target: madang, ws: true },
      },
    },
  });
  await server.listen();
  const address = server.httpServer?.address();
  if (address === null || address === undefined || typeof address === 'string') throw new Error('no address');
  return {
    url: `http://127.0.0.1:${address.port}`,
    close: async () => {
      await server.close();
      await rm(cacheDir, { recursive: true, force: true });
    },
  };
}
