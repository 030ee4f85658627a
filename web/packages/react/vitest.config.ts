import { defineConfig } from 'vitest/config';

export default defineConfig({
  // A machine that is busy with other things is no fault of a test.
  test: { include: ['src/**/*.test.{ts,tsx}'], environment: 'happy-dom', testTimeout: 60_000 },
});
