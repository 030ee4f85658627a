import { defaultClientConditions, defineConfig } from 'vite';

export default defineConfig({
  // The sources of the package beside this one; a project of its own takes what is published.
  resolve: { conditions: ['@madang/source', ...defaultClientConditions] },
});
