// The black-box suite: servers are started once and shared by every test file.
import base from '../jest.config.js';

export default {
  ...base,
  rootDir: '..',
  testMatch: ['<rootDir>/sytest/suite/**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/dist/', '/data/'],
  globalSetup: '<rootDir>/sytest/lib/world-setup.ts',
  globalTeardown: '<rootDir>/sytest/lib/world-teardown.ts',
  // Tests wait for servers far more than they compute.
  maxWorkers: 2,
  testTimeout: 60_000,
};
