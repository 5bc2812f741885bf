import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StartFailure } from '../ops/start-failure.ts';
import { leavesOf } from './defaults.ts';
import { publicBaseUrl, signingKeyFile } from './derived.ts';
import { variableOf } from './environment.ts';
import type { FieldSchema } from './fields.ts';
import { type LoadOptions, loadConfig } from './load.ts';
import { rateLimitTable } from './rate-limits.ts';
import { configSchema } from './schema.ts';
import { supportDocument } from './well-known.ts';

const folder = mkdtempSync(join(tmpdir(), 'parley-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

const file = (yaml: string): string => {
  const path = join(folder, 'config.yaml');
  writeFileSync(path, yaml);
  return path;
};

const failureOf = (options: LoadOptions): string => {
  try {
    loadConfig(options);
  } catch (error) {
    expect(error).toBeInstanceOf(StartFailure);
    expect((error as StartFailure).exitCode).toBe(78);
    return (error as Error).message;
  }
  throw new Error('the configuration was accepted');
};

describe('loadConfig', () => {
  it('needs nothing', () => {
    const config = loadConfig({ folder });
    expect(config.server_name).toBe('localhost');
    expect(config.data_dir).toBe(join(folder, 'data'));
    expect(config.database.url).toBeNull();
    expect(publicBaseUrl(config)).toBe('http://localhost:8008');
    expect(publicBaseUrl(config, 4711)).toBe('http://localhost:4711');
    expect(signingKeyFile(config)).toBe(join(folder, 'data', 'signing.key'));
  });

  it('serves metrics on a loopback address only', () => {
    const open = loadConfig({}).listeners.filter(({ resources }) => resources.includes('metrics'));
    expect(open.map(({ bind }) => bind)).toEqual([['127.0.0.1']]);
  });

  it('takes one address where a list of them may stand', () => {
    const listeners = 'listeners:\n  - port: 8008\n    bind: 127.0.0.1\n';
    const [listener] = loadConfig({ file: file(listeners) }).listeners;
    expect(listener?.bind).toEqual(['127.0.0.1']);
  });

  it('takes contacts that can be reached, and no others', () => {
    const contact = (keys: string) =>
      file(`well_known:\n  support_contacts:\n    - {role: m.role.admin${keys}}\n`);
    const config = loadConfig({ file: contact(', matrix_id: "@admin:example.org"') });
    expect(supportDocument(config.well_known)).toEqual({
      contacts: [{ role: 'm.role.admin', matrix_id: '@admin:example.org' }],
    });
    expect(supportDocument(loadConfig({}).well_known)).toBeUndefined();
    expect(failureOf({ file: contact('') })).toContain('well_known.support_contacts[0]');
    expect(failureOf({ file: contact(', phone: "1"') })).toContain('phone');
  });

  it('puts the environment over the file and the file over the defaults', () => {
    const config = loadConfig({
      file: file('server_name: a.example\ndatabase:\n  pool_size: 7\nlog:\n  level: warn\n'),
      env: { PARLEY_SERVER_NAME: 'b.example', PARLEY_DATABASE_POOL_SIZE: '8' },
    });
    expect(config.server_name).toBe('b.example');
    expect(config.database).toEqual({ url: null, pool_size: 8, connect_timeout_ms: 10_000 });
    expect(config.log).toEqual({ level: 'warn', format: 'auto' });
  });

  it('resolves paths against the folder of the file, inside listeners too', () => {
    const config = loadConfig({
      file: file('data_dir: d\nlisteners: [{ port: 1, tls: { cert: c.pem, key: /k.pem } }]'),
    });
    expect(config.data_dir).toBe(join(folder, 'd'));
    expect(config.listeners[0]).toEqual({
      port: 1,
      bind: ['127.0.0.1', '::1'],
      tls: { cert: join(folder, 'c.pem'), key: '/k.pem' },
      resources: ['client', 'federation', 'media', 'health'],
    });
  });

  it('takes a group without keys as the defaults', () => {
    expect(loadConfig({ file: file('log:\n') }).log.level).toBe('info');
  });

  it('reads lists as JSON, secrets from files, and empty as null', () => {
    writeFileSync(join(folder, 'secret'), 'correct horse\n');
    const config = loadConfig({
      env: {
        PARLEY_FEDERATION_DENIED_SERVERS: '["*.bad.example"]',
        PARLEY_REGISTRATION_SHARED_SECRET_FILE: join(folder, 'secret'),
        PARLEY_REDIS_URL: '',
      },
    });
    expect(config.federation.denied_servers).toEqual(['*.bad.example']);
    expect(config.registration.shared_secret).toBe('correct horse');
    expect(config.redis.url).toBeNull();
  });

  it('refuses Redis, which nothing would use', () => {
    expect(failureOf({ env: { PARLEY_REDIS_URL: 'redis://localhost' } })).toContain(
      'redis.url (from PARLEY_REDIS_URL) is set, but this release has no use for Redis',
    );
  });

  it('names every problem at once, where it is and what was expected', () => {
    const message = failureOf({
      file: file(
        'server_nam: x\nlisteners: [{ port: 99999 }, { tls: { cert: a } }]\nlog: { level: loud }\n' +
          'typing: 5\n',
      ),
      env: { PARLEY_DATABASE_POOL_SIZE: 'many', PARLEY_DATABSE_URL: 'x' },
    });
    expect(message.split('\n')).toEqual([
      'The configuration has 8 problems:',
      '  server_nam is not a key of the configuration; did you mean server_name?',
      '  listeners[0].port is 99999, expected a whole number from 0 to 65535',
      '  listeners[1].port is missing, expected a whole number from 0 to 65535',
      '  listeners[1].tls.key is missing, expected a file name',
      '  database.pool_size (from PARLEY_DATABASE_POOL_SIZE) is "many", expected a whole number from 2 to 1000',
      '  typing is 5, expected a group of the keys enabled',
      '  log.level is "loud", expected one of trace, debug, info, warn, error, fatal, silent',
      '  PARLEY_DATABSE_URL is not a variable of the configuration; did you mean PARLEY_DATABASE_URL?',
    ]);
  });

  it('does not repeat secrets', () => {
    const message = failureOf({ env: { PARLEY_DATABASE_URL: 'mysql://u:hunter2@h/d' } });
    expect(message).toContain('database.url');
    expect(message).not.toContain('hunter2');
  });

  it('says which line of a file is not YAML, and which file cannot be read', () => {
    expect(failureOf({ file: file('a: [1\nb: 2\n') })).toMatch(/config\.yaml: .*line 2/);
    expect(failureOf({ file: join(folder, 'absent.yaml') })).toContain(
      'absent.yaml cannot be read',
    );
  });

  it('finds listeners that take the same port', () => {
    const message = failureOf({ file: file('listeners: [{ port: 80 }, { port: 80 }]') });
    expect(message).toContain('listeners[1].port is 80, which listeners[0] takes on 127.0.0.1');
  });

  it('leaves the variables of a Kubernetes service alone', () => {
    const env = { PARLEY_PORT: 'tcp://10.0.0.1:80', PARLEY_SERVICE_HOST: '10.0.0.1' };
    expect(loadConfig({ env }).server_name).toBe('localhost');
  });
});

describe('the schema', () => {
  const leaves = leavesOf(configSchema as FieldSchema);

  it('describes every key and gives it a default', () => {
    for (const { path, schema } of leaves) {
      expect([path.join('.'), schema.description?.length ?? 0]).not.toEqual([path.join('.'), 0]);
      expect([path.join('.'), 'default' in schema]).toEqual([path.join('.'), true]);
    }
  });

  it('gives every key a variable of its own', () => {
    const variables = leaves.flatMap(({ path }) => [variableOf(path), `${variableOf(path)}_FILE`]);
    expect(new Set(variables).size).toBe(variables.length);
  });
});

describe('rateLimitTable', () => {
  it('has every kind, or is absent when limits are off', () => {
    const { rate_limits } = loadConfig({ env: { PARLEY_RATE_LIMITS_LOGIN_BURST: '3' } });
    expect(rateLimitTable(rate_limits)?.login).toEqual({ perSecond: 0.1, burst: 3 });
    expect(rateLimitTable({ ...rate_limits, enabled: false })).toBeUndefined();
  });
});
