import react from '@vitejs/plugin-react';
import { defaultClientConditions, defineConfig } from 'vite';

export default defineConfig({
  plugins: [react()],
  // The sources of the packages beside this one; a project of its own takes what is published.
  resolve: { conditions: ['@madang/source', ...defaultClientConditions] },
});
