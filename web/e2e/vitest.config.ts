import { defaultClientConditions } from 'vite';
import { defineConfig } from 'vitest/config';

// Two cores carry servers and browsers: one file at a time, one test at a time.
export default defineConfig({
  // The sources of the packages, not what was built of them last.
  resolve: { conditions: ['@madang/source', ...defaultClientConditions] },
  ssr: { resolve: { conditions: ['@madang/source', 'module', 'node', 'development|production'] } },
  test: {
    root: import.meta.dirname,
    include: ['**/*.e2e.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['verbose'],
  },
});
