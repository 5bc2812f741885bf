/**
 * Two sets of tests: those beside the code, on one embedded PostgreSQL, and the black-box suite,
 * whose shared servers are started only when one of its files is run.
 */
const shared = {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: { parser: { syntax: 'typescript' }, target: 'es2023' },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/data/'],
};

export default {
  // Two cores; the suite's files wait for servers more than they compute.
  maxWorkers: 2,
  // Modules are never given back, so a worker grows with every file it has run.
  workerIdleMemoryLimit: '600MB',
  testTimeout: 60_000,
  projects: [
    {
      ...shared,
      displayName: 'parley',
      testMatch: ['<rootDir>/**/*.test.ts'],
      testPathIgnorePatterns: ['/node_modules/', '/dist/', '/data/', '<rootDir>/sytest/suite/'],
      globalSetup: '<rootDir>/homeserver/testing/global-setup.ts',
      globalTeardown: '<rootDir>/homeserver/testing/global-teardown.ts',
    },
    {
      ...shared,
      displayName: 'sytest',
      testMatch: ['<rootDir>/sytest/suite/**/*.test.ts'],
      testPathIgnorePatterns: ['/node_modules/', '/dist/', '/data/'],
      globalSetup: '<rootDir>/sytest/lib/world-setup.ts',
      globalTeardown: '<rootDir>/sytest/lib/world-teardown.ts',
    },
  ],
};
