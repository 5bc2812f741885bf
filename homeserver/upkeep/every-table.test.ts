import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { upkeepTasks } from './create-upkeep.ts';

/** What keeps a table from growing without end, where that is no clean-up. */
const boundedOtherwise: Readonly<Record<string, string>> = {
  schema_migrations: 'one row for each migration',
  schema_migrations_lock: 'one row',
  reader_cursors: 'one row for each reader',
  cluster_leader: 'one row',
  federation_senders: 'one row for each sender',
  server_facts: 'one row for each fact',
  users: 'accounts are the operator’s to allow',
  profile_fields: 'the size of a profile is bounded',
  devices: 'clientDataLimits.devices',
  access_tokens: 'two for each device: the use of one revokes the older',
  refresh_tokens: 'two for each device: the use of one revokes the older',
  threepids: 'validated addresses of accounts',
  filters: 'clientDataLimits.filters',
  push_rules: 'one row for each account, of bounded size',
  presence: 'one row for each account, of bounded size',
  device_keys: 'one row for each device',
  one_time_keys: 'clientDataLimits.oneTimeKeys',
  fallback_keys: 'one row for each device and algorithm',
  key_signatures: 'by accounts here, of keys of people they know',
  key_backups: 'clientDataLimits.keyBackups',
  key_backup_keys: 'clientDataLimits.keyBackups',
  unlogged_device_changes: 'logged at once, and then deleted',
};

describe('every table', () => {
  let test: TestDatabase;
  let tables: string[];
  beforeAll(async () => {
    test = await testDatabase();
    const { rows } = await test.database.query<{ name: string }>({
      text: `SELECT table_name AS name FROM information_schema.tables
        WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`,
    });
    tables = rows.map(({ name }) => name);
  });
  afterAll(() => test.close());

  const cleaned = new Set(upkeepTasks().flatMap(({ tables: cleans }) => cleans));

  it('has an end: a clean-up, or another reason why it does not grow', () => {
    const endless = tables.filter((name) => !cleaned.has(name) && !(name in boundedOtherwise));
    expect(endless).toEqual([]);
  });

  it('is named right', () => {
    const named = [...cleaned, ...Object.keys(boundedOtherwise)];
    expect(named.filter((name) => !tables.includes(name))).toEqual([]);
    expect(Object.keys(boundedOtherwise).filter((name) => cleaned.has(name))).toEqual([]);
  });
});
