import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      'packages/sdk',
      'packages/react',
      'packages/board',
      'app',
      // What the browser tests judge pictures by.
      { test: { name: 'e2e-harness', include: ['e2e/harness/*.test.ts'], environment: 'node' } },
      { test: { name: 'published', include: ['packages/*.test.ts'], environment: 'node' } },
    ],
  },
});
