import { defineConfig } from 'vitest/config';

/** What is measured in browsers, for `make bench`: nothing here passes or fails by a figure. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['numbers/*.numbers.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['verbose'],
  },
});
