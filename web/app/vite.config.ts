import react from '@vitejs/plugin-react';
import { defaultClientConditions } from 'vite';
import { defineConfig } from 'vitest/config';

// Where `npm run dev` finds the services; the built pages are served by the services themselves.
const server = process.env.MADANG_URL ?? 'http://127.0.0.1:8080';
const services = [
  '/boards',
  '/broadcasts',
  '/groups',
  '/ice-servers',
  '/config.json',
  '/whip',
  '/whep',
  '/room',
  '/rooms',
];

export default defineConfig({
  plugins: [react()],
  // The workspaces' sources, not what was built of them last.
  resolve: { conditions: ['@madang/source', ...defaultClientConditions] },
  build: {
    // Where the server takes the pages from.
    outDir: '../dist',
    emptyOutDir: true,
    target: 'es2022',
    // Inlined assets would be data: URLs, which the content security policy refuses for fonts.
    assetsInlineLimit: 0,
    // One small file, whose order does not depend on which page is opened first.
    cssCodeSplit: false,
  },
  server: {
    proxy: {
      ...Object.fromEntries(services.map((path) => [path, { target: server, changeOrigin: true }])),
      '/streaming': { target: server, ws: true },
    },
  },
  test: {
    include: ['src/**/*.test.{ts,tsx}'],
    environment: 'happy-dom',
  },
});
