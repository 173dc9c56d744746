import { createNodeResolver, importX } from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

/** One-way imports: `folder` may not import from any of `from`. Composition roots (leaky.ts, compose/, workers/) may import all. */
const zone = (folder, from, message) => ({ target: `./${folder}`, from: from.map((name) => `./${name}`), message });

const outer = ['workers', 'embedded', 'compose', 'leaky.ts'];
const zones = [
  zone(
    'domain',
    [
      'contracts',
      'workflows',
      'activities',
      'adapters',
      'consumers',
      'api',
      'telemetry',
      'temporal-config',
      'config.ts',
      'config',
      ...outer,
    ],
    'domain imports only domain',
  ),
  zone(
    'contracts',
    ['workflows', 'activities', 'adapters', 'consumers', 'api', 'telemetry', 'temporal-config', 'config.ts', 'config', ...outer],
    'contracts import only domain',
  ),
  zone(
    'workflows',
    ['adapters', 'consumers', 'api', 'telemetry', 'temporal-config', 'config.ts', 'config', ...outer],
    'workflows import domain, contracts and types of activities',
  ),
  zone(
    'activities',
    ['workflows', 'adapters', 'consumers', 'api', 'temporal-config', ...outer],
    'activities reach the outside through ports',
  ),
  zone('api', ['workflows', 'adapters', 'consumers', 'temporal-config', ...outer], 'the api reaches the outside through ports'),
  zone('api', ['activities/!(*ports).ts'], 'the api knows of activities only their ports'),
  zone('consumers', ['workflows', 'adapters', 'api', 'temporal-config', ...outer], 'consumers reach the outside through ports'),
  zone('consumers', ['activities/!(*ports).ts'], 'consumers know of activities only their ports'),
  zone('adapters', ['workflows', ...outer], 'adapters implement ports and know no composition root'),
  zone('adapters', ['consumers/!(*ports).ts'], 'adapters know of consumers only their ports'),
  zone(
    'config',
    [
      'domain',
      'contracts',
      'workflows',
      'activities',
      'adapters',
      'consumers',
      'api',
      'telemetry',
      'temporal-config',
      'config.ts',
      ...outer,
    ],
    'sections are read by config.ts and know nothing else',
  ),
  zone(
    'platform',
    [
      'domain',
      'contracts',
      'workflows',
      'activities',
      'adapters',
      'consumers',
      'api',
      'telemetry',
      'temporal-config',
      'config.ts',
      'config',
      ...outer,
    ],
    'platform is a leaf: small general parts without I/O of their own',
  ),
  zone('telemetry', ['workflows', 'activities', 'adapters', 'consumers', 'api', 'temporal-config', ...outer], 'telemetry is a leaf'),
];

export default tseslint.config(
  { ignores: ['node_modules', 'dist', 'data', '.cache', 'web/vendor'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommended],
    plugins: { 'import-x': importX },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    settings: { 'import-x/resolver-next': [createNodeResolver({ extensionAlias: { '.js': ['.ts', '.js'] } })] },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { arguments: false } }],
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-empty': 'error',
      eqeqeq: 'error',
      'import-x/no-restricted-paths': ['error', { zones }],
      'no-restricted-syntax': [
        'error',
        { selector: "MemberExpression[object.name='process'][property.name='env']", message: 'Only config.ts reads the environment.' },
        {
          selector: "NewExpression[callee.object.name='pg'][callee.property.name='Client']",
          message: 'Connections are made as PostgresClient: one that ends while nobody listens would end the process.',
        },
      ],
    },
  },
  {
    files: ['workflows/**/*.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          patterns: [
            { regex: '/activities/', allowTypeImports: true, message: 'Workflow code takes only the types of activities.' },
            { regex: '^(node:|zod$|pg$|pino$|@temporalio/(client|worker))', message: 'Workflow code runs in a sandbox.' },
          ],
        },
      ],
    },
  },
  { files: ['config.ts', 'test/**/*.ts', 'bench/**/*.ts', 'stack/main.ts', 'scripts/**/*.ts'], rules: { 'no-restricted-syntax': 'off' } },
  { files: ['api/*/main.ts', 'test/**/*.ts'], rules: { 'import-x/no-restricted-paths': 'off' } },
  { files: ['scripts/**/*.mjs', '*.mjs'], rules: { 'no-unused-vars': 'error', eqeqeq: 'error', 'no-empty': 'error' } },
);
