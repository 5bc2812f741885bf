/** The settings of the embedded PostgreSQL, given at every start so that none is left in a file. */

export interface PostgresSettingsOptions {
  readonly socketFolder: string;
  readonly maxConnections: number;
  /** False loses committed data in a crash; for throw-away clusters of tests. */
  readonly durable: boolean;
}

export const socketPort = 5432;

/** Arguments for `postgres`, all of them `-c name=value`. */
export const postgresSettings = (options: PostgresSettingsOptions): string[] => {
  const durability = options.durable ? 'on' : 'off';
  const settings: Record<string, string | number> = {
    // Reachable through a socket in a private folder, and by nothing else.
    listen_addresses: '',
    port: socketPort,
    unix_socket_directories: options.socketFolder,
    unix_socket_permissions: '0700',
    max_connections: options.maxConnections,
    shared_buffers: '128MB',
    fsync: durability,
    synchronous_commit: durability,
    full_page_writes: durability,
    // No replica ever reads this log, so only what recovery needs is written.
    wal_level: 'minimal',
    max_wal_senders: 0,
    max_logical_replication_workers: 0,
    max_wal_size: '1GB',
    checkpoint_timeout: '15min',
    // Many short statements beside Node on few cores: helpers and compilation cost more than they bring.
    io_method: 'sync',
    max_parallel_workers_per_gather: 0,
    jit: 'off',
    timezone: 'UTC',
    log_timezone: 'UTC',
    lc_messages: 'C',
    logging_collector: 'off',
    log_destination: 'stderr',
    log_line_prefix: '',
    log_checkpoints: 'off',
    log_min_messages: 'warning',
    // Statements carry what people write; they stay out of the log.
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
};
