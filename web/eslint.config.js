import reactHooks from 'eslint-plugin-react-hooks';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['**/dist', '**/node_modules', '**/test-results', 'eslint.config.js'] },
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // StompJS declares the shapes of its plain option objects as classes.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': 'error',
    },
  },
  {
    files: ['{app,packages/react}/src/**/*.{ts,tsx}'],
    plugins: { 'react-hooks': reactHooks },
    rules: {
      ...reactHooks.configs.recommended.rules,
      // Pages talk to the services through the SDK's public face only.
      'no-restricted-imports': ['error', { patterns: ['@madang/*/*', '**/packages/**', '@stomp/*'] }],
    },
  },
  {
    files: ['app/src/**/*.{ts,tsx}'],
    ignores: ['app/src/lib/api.ts'],
    rules: { 'no-restricted-globals': ['error', 'fetch'] },
  },
  {
    // Made by a program, in its own style.
    files: ['packages/sdk/src/contract.ts'],
    rules: { '@typescript-eslint/consistent-indexed-object-style': 'off' },
  },
  { files: ['e2e/**/*'], rules: { 'no-console': 'off' } },
);
