/**
 * Requests no honest client makes: for any operation, bodies, paths and queries that are wrong in the
 * ways programs get wrong and attackers try.
 */

import type { Operation } from '../sweep/operations.ts';
import type { SeededRandom } from './seeded-random.ts';

export interface MalformedRequest {
  /** What is wrong with it. */
  readonly what: string;
  /** With the query. */
  readonly path: string;
  readonly body: string | Uint8Array | undefined;
}

/** Values for path parameters that exist, by the specification's names. */
export type PathValues = Readonly<Record<string, string>>;

const NESTED = 5_000;
/** Bodies with one wrong member, for each operation. */
const SINGLE_MEMBERS = 30;

/** Not the object that a body must be. */
const BROKEN_BODIES: readonly (readonly [what: string, body: string | Uint8Array])[] = [
  ['nothing', ''],
  ['half an object', '{"a":'],
  ['two objects', '{}{}'],
  ['a list', '[]'],
  ['text', '"text"'],
  ['a number', '1'],
  ['null', 'null'],
  ['not UTF-8', new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])],
  ['a byte order mark', '\uFEFF{}'],
  ['nested deeply', `{"a":${'['.repeat(NESTED)}${']'.repeat(NESTED)}}`],
  ['a NUL', '{"body":"\\u0000","msgtype":"\\u0000","reason":"\\u0000","name":"\\u0000"}'],
  ['half a surrogate pair', '{"body":"\\ud800","msgtype":"m.text","reason":"\\udfff"}'],
  ['__proto__', '{"__proto__":{"admin":true},"constructor":{"prototype":1}}'],
  ['numbers no double holds', '{"a":1e999,"limit":1e400,"timeout":-1e999}'],
];

const WRONG_VALUES: readonly unknown[] = [
  null,
  true,
  -1,
  1.5,
  1e300,
  2 ** 53,
  '',
  'x',
  '@',
  '!:',
  'é'.repeat(300),
  [],
  [null],
  [[]],
  [{}],
  {},
  { a: 1 },
  { a: { b: [] } },
  { type: 7 },
];

/** Members of request bodies throughout the Client-Server API. */
const BODY_KEYS = (
  'user_id event_id room_id reason name topic invite invite_3pid preset visibility initial_state ' +
  'power_level_content_override creation_content room_version is_direct room_alias_name typing ' +
  'timeout displayname avatar_url membership msgtype body username password auth identifier type ' +
  'device_id initial_device_display_name inhibit_login refresh_token new_password logout_devices ' +
  'erase token session client_secret sid id_server id_access_token medium address threepid ' +
  'm.fully_read m.read m.read.private thread_id filter room timeline limit types event_fields ' +
  'presence account_data actions conditions pattern enabled kind app_id pushkey data lang ' +
  'one_time_keys device_keys fallback_keys master_key self_signing_key user_signing_key messages ' +
  'search_categories search_term order_by aliases alias users events notifications ban kick redact ' +
  'join_rule allow history_visibility display_name devices new_version score order status_msg since ' +
  'generic_search_term via additional_creators'
).split(' ');

const WRONG_PATH_VALUES = [
  '',
  'x',
  '%00',
  '%ff',
  '%2F%2e%2e%2F',
  encodeURIComponent('é'.repeat(200)),
  'a'.repeat(1_000),
  '%F0%9F%92%A9',
  '__proto__',
  '!%3A',
  '%40',
];

const WRONG_QUERIES = [
  'since=x&from=x&to=x&at=x',
  'since=&from=&to=&at=',
  'since=s1_2_3&from=t1-2&to=%00',
  'limit=-1',
  'limit=1e9',
  'limit=x&dir=x&ts=x',
  `limit=${'9'.repeat(30)}&dir=b&ts=${'9'.repeat(30)}`,
  'limit=0&dir=f&from=0',
  'timeout=x&since=x',
  'timeout=-1',
  'filter=%7B',
  'filter=%7B%22room%22%3A5%7D&dir=b',
  'filter=%7B%22room%22%3A%7B%22timeline%22%3A%7B%22limit%22%3A-1%7D%7D%7D',
  'filter=x&dir=b',
  'full_state=maybe&set_presence=drunk&timeout=0',
  'a=%ff&%00=%',
  'membership=x&not_membership=%ff',
  'ts=-1&dir=f',
  'server_name=%00&via=%ff&via=',
  'access_token=x&user_id=x',
];

/** `operation.path` with its parameters filled in; each value is used as it is. */
export function pathOf(operation: Operation, values: PathValues): string {
  return operation.path.replaceAll(/\{([A-Za-z0-9]+)\}/g, (_, name: string) => values[name] ?? 'x');
}

/** Many wrong requests to one operation. `values` are escaped already. */
export function malformedRequests(
  operation: Operation,
  values: PathValues,
  random: SeededRandom,
): MalformedRequest[] {
  const path = pathOf(operation, values);
  const takesBody = operation.method === 'POST' || operation.method === 'PUT';
  const body = takesBody ? '{}' : undefined;
  const requests: MalformedRequest[] = [];
  for (const query of WRONG_QUERIES) {
    requests.push({ what: `query ${query}`, path: `${path}?${query}`, body });
  }
  for (const [, name] of operation.path.matchAll(/\{([A-Za-z0-9]+)\}/g)) {
    for (const wrong of WRONG_PATH_VALUES) {
      const wrongPath = pathOf(operation, { ...values, [name as string]: wrong });
      requests.push({ what: `${name} ${wrong.slice(0, 20)}`, path: wrongPath, body });
    }
  }
  if (!takesBody) return requests;
  for (const [what, broken] of BROKEN_BODIES) requests.push({ what, path, body: broken });
  for (let count = 0; count < SINGLE_MEMBERS; count += 1) {
    const wrong = JSON.stringify({ [random.pick(BODY_KEYS)]: random.pick(WRONG_VALUES) });
    requests.push({ what: wrong.slice(0, 60), path, body: wrong });
  }
  for (const value of WRONG_VALUES) {
    const all = JSON.stringify(Object.fromEntries(BODY_KEYS.map((key) => [key, value])));
    requests.push({ what: `everything ${JSON.stringify(value).slice(0, 40)}`, path, body: all });
  }
  return requests;
}
