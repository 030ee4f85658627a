import { defaultClientConditions } from 'vite';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  // The SDK's sources, not what was built of them last.
  resolve: { conditions: ['@madang/source', ...defaultClientConditions] },
  // A machine that is busy with other things is no fault of a test.
  test: { include: ['src/**/*.test.{ts,tsx}'], environment: 'happy-dom', testTimeout: 60_000 },
});
