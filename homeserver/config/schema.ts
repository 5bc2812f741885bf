/**
 * Every configuration key: its type, default and description. The sample file, the environment
 * variables, the checks and the `Config` type all come from here.
 */
import { type Static, Type } from 'typebox';
import { DEFAULT_CACHE_BYTES } from '../memory-budget.ts';
import { logLevels } from '../ops/logger.ts';
import {
  choice,
  choices,
  flag,
  group,
  optionalText,
  optionalWhole,
  text,
  texts,
  whole,
  wholeOrAuto,
} from './fields.ts';
import { serverNamePattern } from './patterns.ts';
import { rateLimitsSchema } from './rate-limits.ts';
import { wellKnownSchema } from './well-known.ts';

const webAddressPattern = '^https?://[^\\s/?#]+[^\\s?#]*$';
const serverGlobPattern = '^[0-9A-Za-z.:*?\\[\\]-]{1,255}$';

export const listenerResources = ['client', 'federation', 'media', 'health', 'metrics'] as const;

const tlsSchema = Type.Unsafe<{ readonly cert: string; readonly key: string } | null>({
  type: ['object', 'null'],
  default: null,
  description:
    'Certificate chain and private key (PEM files) to serve HTTPS. null: plain HTTP, for behind a ' +
    'reverse proxy.',
  expects: 'a group of the keys cert and key, both file names; or null',
  required: ['cert', 'key'],
  additionalProperties: false,
  properties: {
    cert: { type: 'string', minLength: 1, holds: 'path', expects: 'a file name' },
    key: { type: 'string', minLength: 1, holds: 'path', expects: 'a file name' },
  },
});

const listenerSchema = group('One place to listen.', {
  port: Type.Unsafe<number>({
    type: 'integer',
    minimum: 0,
    maximum: 65535,
    description: 'TCP port; 0 takes any free one.',
    expects: 'a whole number from 0 to 65535',
  }),
  bind: texts({
    default: ['127.0.0.1', '::1'],
    minItems: 1,
    each: 'an address of this machine',
    orOne: true,
    description: 'Addresses to listen on. ["0.0.0.0", "::"] is every address of the machine.',
  }),
  tls: tlsSchema,
  resources: choices(listenerResources, {
    default: ['client', 'federation', 'media', 'health'],
    description: `What is served here: any of ${listenerResources.join(', ')}.`,
  }),
});

export type Listener = Static<typeof listenerSchema>;

const defaultListeners: readonly Listener[] = [
  {
    port: 8008,
    bind: ['127.0.0.1', '::1'],
    tls: null,
    resources: ['client', 'federation', 'media', 'health'],
  },
  { port: 9008, bind: ['127.0.0.1'], tls: null, resources: ['metrics', 'health'] },
];

export const configSchema = group('', {
  server_name: text({
    default: 'localhost',
    pattern: serverNamePattern,
    expects: 'a server name such as example.org',
    description:
      'The name in every user id (@alice:example.org), seen by all other servers. It cannot be ' +
      'changed once the server has been started.',
  }),
  public_base_url: optionalText({
    pattern: webAddressPattern,
    expects: 'a web address such as https://matrix.example.org, or null',
    description:
      'Where clients reach this server. null: http://localhost and the port of the first client ' +
      'listener while server_name is localhost, else https:// and the server name.',
  }),
  data_dir: text({
    default: './data',
    minLength: 1,
    holds: 'path',
    expects: 'a folder',
    description:
      'Everything this server keeps, except what an external database or media store holds. ' +
      'Relative paths, here and below, start at the folder of this file, or at the current folder ' +
      'when there is no file.',
  }),
  listeners: Type.Unsafe<readonly Listener[]>({
    type: 'array',
    minItems: 1,
    items: listenerSchema,
    default: defaultListeners,
    expects: 'a list of listeners',
    description:
      'Where to listen. Keep the metrics listener private. Per listener: port; bind (default ' +
      '127.0.0.1 and ::1; "0.0.0.0" and "::" are every address); tls, with the PEM files cert and ' +
      'key (default null: plain HTTP, for behind a reverse proxy); resources, any of ' +
      `${listenerResources.join(', ')} (default all but metrics).`,
  }),
  processes: wholeOrAuto({
    default: 1,
    minimum: 1,
    maximum: 256,
    description:
      'How many processes serve together on this machine; more make use of more cores. auto: one ' +
      'fewer than the machine has cores, and one at least.',
  }),
  cluster: group('Several machines as one server, on one database (database.url).', {
    port: optionalWhole({
      default: null,
      minimum: 0,
      maximum: 65_535,
      description:
        'Where the other machines reach this one, over TLS with a key that the database keeps; of ' +
        'several processes each has the next port; 0: any free ones. They find each other through the ' +
        'database, which also keeps the signing keys for all. null: there are no other machines.',
    }),
    bind: text({
      default: '0.0.0.0',
      minLength: 1,
      expects: 'an IP address',
      description: 'The address to listen on.',
    }),
    advertise: optionalText({
      minLength: 1,
      expects: 'an address or a host name, or null',
      description:
        'What the others call this machine. null: the address from which it reaches the database.',
    }),
  }),
  trusted_proxies: texts({
    default: [],
    each: 'an IP address or range such as 10.0.0.0/8',
    description:
      'Reverse proxies whose X-Forwarded-For header is believed, so that limits count the real ' +
      "client's address.",
  }),
  database: group('The PostgreSQL database.', {
    url: optionalText({
      pattern: '^postgres(ql)?://\\S+$',
      expects: 'an address such as postgres://parley:secret@localhost/parley, or null',
      description:
        'A PostgreSQL of your own, version 14 or later, database encoding UTF8, locale C or C.UTF-8. ' +
        'null: the one that comes with this server, kept in data_dir.',
    }),
    pool_size: whole({
      default: 20,
      minimum: 2,
      maximum: 1000,
      description: 'Most connections this process opens.',
    }),
    connect_timeout_ms: whole({
      default: 10_000,
      minimum: 100,
      description: 'How long a request may wait for a database connection.',
    }),
  }),
  redis: group(
    'Redis. This release has no use for it: several processes find each other by the database.',
    {
      url: optionalText({
        pattern: '^rediss?://\\S+$',
        expects: 'an address such as redis://localhost:6379, or null',
        description: 'Must be null in this release, which has no use for it.',
      }),
    },
  ),
  registration: group('Who may make an account.', {
    enabled: flag({ default: true, description: 'Whether people can register at all.' }),
    require_token: flag({
      default: true,
      description:
        'Whether registering takes a token ("parley registration-token" makes one). Without it, ' +
        'anyone who reaches the server can register.',
    }),
    shared_secret: optionalText({
      minLength: 8,
      expects: 'a text of at least 8 characters, or null',
      description:
        'Programs that know this secret may register accounts, administrators included. null: none.',
    }),
    allow_guests: flag({ default: false, description: 'Whether guests may come in unregistered.' }),
  }),
  accounts: group('Accounts and passwords.', {
    password_min_length: whole({
      default: 8,
      minimum: 1,
      maximum: 512,
      description: 'Fewest characters of a new password.',
    }),
    show_device_names: flag({
      default: false,
      description:
        'Whether people here and on other servers are told what the devices of others are called. ' +
        'Their own they always see.',
    }),
    unseen_device_days: optionalWhole({
      default: null,
      minimum: 30,
      maximum: 36_500,
      description:
        'Days after which a device that has not been seen is logged out, with its keys: encrypted ' +
        'messages that only it could read are lost. null: never.',
    }),
    password_hash_memory_kib: whole({
      default: 19_456,
      minimum: 8,
      maximum: 4_194_304,
      description:
        'Memory for hashing one password with Argon2id, in KiB. Lower it only for tests.',
    }),
    password_hash_passes: whole({
      default: 2,
      minimum: 1,
      maximum: 100,
      description: 'Passes of Argon2id over that memory.',
    }),
  }),
  rate_limits: rateLimitsSchema,
  limits: group('Sizes and times of requests.', {
    max_body_bytes: whole({
      default: 1_048_576,
      minimum: 65_536,
      description: 'Largest body of a client request, uploads apart.',
    }),
    max_connections: whole({
      default: 20_000,
      minimum: 1,
      description: 'Most connections to each listener at one time.',
    }),
    max_connections_per_address: whole({
      default: 500,
      minimum: 1,
      description:
        'Most connections of one address at one time. This machine and trusted_proxies may open more.',
    }),
    request_timeout_ms: whole({
      default: 120_000,
      minimum: 1_000,
      description: 'In which a whole request must have arrived, its body included.',
    }),
    stop_timeout_ms: whole({
      default: 15_000,
      minimum: 0,
      description: 'How long stopping waits for requests under way.',
    }),
  }),
  caches: group('Memory for what is read often.', {
    max_bytes: whole({
      default: DEFAULT_CACHE_BYTES,
      minimum: 16_000_000,
      description:
        'What events, rooms and the newest changes in memory may take together, as this server ' +
        'reckons. The process takes some 100 MB more, and up to half as much again for garbage. ' +
        'More of it lets more rooms and people be active without asking the database.',
    }),
  }),
  federation: group('Other servers.', {
    enabled: flag({ default: true, description: 'Whether this server speaks with others.' }),
    allowed_servers: Type.Unsafe<readonly string[] | null>({
      type: ['array', 'null'],
      items: { type: 'string', pattern: serverGlobPattern, expects: 'a server name or pattern' },
      default: null,
      expects: 'a list of server names, * and ? standing for any characters; or null',
      description: 'Only these servers (* and ? stand for any characters). null: every server.',
    }),
    denied_servers: texts({
      default: [],
      pattern: serverGlobPattern,
      each: 'a server name, * and ? standing for any characters',
      description: 'None of these servers, even where allowed_servers names them.',
    }),
    public_rooms: flag({
      default: true,
      description: 'Whether other servers may read the list of rooms published here.',
    }),
    trusted_ca_file: optionalText({
      holds: 'path',
      minLength: 1,
      expects: 'a file name, or null',
      description: 'Certificate authorities (PEM) trusted besides those of the system.',
    }),
    allow_private_addresses: flag({
      default: false,
      description:
        'Whether requests to other servers may go to private and loopback addresses. For tests and ' +
        'closed networks only: it lets others aim this server at your internal network.',
    }),
    signing_key_file: optionalText({
      holds: 'path',
      minLength: 1,
      expects: 'a file name, or null',
      description:
        "The key that signs this server's events, made on first start. null: signing.key in data_dir.",
    }),
    notary_servers: texts({
      default: [],
      pattern: serverNamePattern,
      each: 'a server name',
      description: 'Servers asked for the keys of servers that do not answer themselves.',
    }),
    request_timeout_ms: whole({
      default: 30_000,
      minimum: 100,
      description: 'How long a request to another server may take.',
    }),
    join_timeout_ms: whole({
      default: 120_000,
      minimum: 1_000,
      description: 'How long joining a room through another server may take.',
    }),
    max_concurrent_requests: whole({
      default: 200,
      minimum: 1,
      description:
        'Most requests to other servers at one time, besides the transactions that deliver. Four of ' +
        'ten are for rooms, three for what people ask, one each for keys of servers known here, keys ' +
        'of others, and keys that others ask about.',
    }),
    max_response_bytes: whole({
      default: 134_217_728,
      minimum: 1_048_576,
      description:
        'Largest answer accepted from another server, in bytes: the state of a room that somebody ' +
        'joins may be as much. It is held in memory while it is read, others wait meanwhile.',
    }),
    max_retry_delay_ms: whole({
      default: 3_600_000,
      minimum: 1_000,
      description: 'Longest pause before a server that was unreachable is tried again.',
    }),
  }),
  media: group('Files people send; this release does not take any yet.', {
    path: optionalText({
      holds: 'path',
      minLength: 1,
      expects: 'a folder, or null',
      description: 'Where files are kept. null: media in data_dir.',
    }),
    max_upload_bytes: whole({
      default: 52_428_800,
      minimum: 1_024,
      description: 'Largest file one may upload.',
    }),
  }),
  rooms: group('Rooms.', {
    default_version: choice(['1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12'], {
      default: '12',
      description:
        'Version of rooms whose creator asks for none. In 12, whoever creates a room stands above all ' +
        'power levels; clients that do not know of it show them as ordinary members and hide what ' +
        'they may do. While people here use such clients, 11 is the better choice.',
    }),
    directory_publishers: choice(['everyone', 'admins', 'nobody'], {
      default: 'everyone',
      description:
        'Who may list rooms in the public directory of this server, where they have the power to in ' +
        'the room: everyone, only its administrators, or nobody. What is listed already stays.',
    }),
    forgotten_kept_days: optionalWhole({
      default: 90,
      minimum: 1,
      maximum: 36_500,
      description:
        'Days after which a room is deleted that everybody here has left and forgotten, with all its ' +
        'messages. Nobody here can read it any more, and one that lives on elsewhere can be joined ' +
        'again; a room with a report that is still open stays. null: such rooms are kept for ever.',
    }),
  }),
  presence: group('Who is online.', {
    enabled: flag({ default: true, description: 'Whether presence is kept and shown.' }),
  }),
  typing: group('Who is typing.', {
    enabled: flag({ default: true, description: 'Whether typing is kept and shown.' }),
  }),
  voip: group('Voice and video calls.', {
    turn_uris: texts({
      default: [],
      pattern: '^turns?:',
      each: 'an address such as turn:turn.example.org?transport=udp',
      description: 'TURN servers that clients are to use. []: none, and calls may not get through.',
    }),
    turn_shared_secret: optionalText({
      minLength: 1,
      expects: 'a text, or null',
      description: 'The secret shared with them (static-auth-secret of coturn).',
    }),
    turn_lifetime_ms: whole({
      default: 86_400_000,
      minimum: 60_000,
      description: 'How long the passwords given to clients are good for.',
    }),
  }),
  well_known: wellKnownSchema,
  log: group('The log, on standard output.', {
    level: choice(logLevels, { default: 'info', description: 'The least important lines shown.' }),
    format: choice(['auto', 'json', 'pretty'], {
      default: 'auto',
      description: 'json: one object a line. pretty: for people. auto: pretty on a terminal.',
    }),
  }),
});

/** The whole configuration: every key present, every path absolute. */
export type Config = Static<typeof configSchema>;
