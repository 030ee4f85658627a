import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      'packages/sdk',
      'packages/react',
      'app',
      { test: { name: 'published', include: ['packages/*.test.ts'], environment: 'node' } },
    ],
  },
});
