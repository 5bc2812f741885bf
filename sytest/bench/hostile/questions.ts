/** What people here ask that makes our server ask another one, and how an answer to that begins. */
import type { HttpRequest } from '../http-connection.ts';

export interface Question {
  readonly what: string;
  /** By somebody here, about `server`. */
  readonly ask: (server: string) => Omit<HttpRequest, 'token'>;
  /** The path that the hostile answer is for; honest answers lead there. */
  readonly path: RegExp;
  /** The text before its hostile part: where our server keeps most of what comes. */
  readonly head: (server: string) => string;
}

const CLIENT = '/_matrix/client/v3';
const segment = encodeURIComponent;
const post = (path: string, body: object) =>
  ({ method: 'POST', path, body: JSON.stringify(body) }) as const;
const join = (server: string) =>
  post(`${CLIENT}/join/${segment(`!room:${server}`)}?via=${segment(server)}`, {});

export const questions: readonly Question[] = [
  {
    what: 'profile',
    ask: (server) => ({ method: 'GET', path: `${CLIENT}/profile/${segment(`@x:${server}`)}` }),
    path: /\/query\/profile/,
    head: () => '{"displayname":',
  },
  {
    what: 'public rooms',
    ask: (server) => ({ method: 'GET', path: `${CLIENT}/publicRooms?server=${segment(server)}` }),
    path: /\/publicRooms/,
    head: () => '{"chunk":',
  },
  {
    what: 'alias',
    ask: (server) => ({
      method: 'GET',
      path: `${CLIENT}/directory/room/${segment(`#x:${server}`)}`,
    }),
    path: /\/query\/directory/,
    head: () => '{"room_id":"!x:x","servers":',
  },
  {
    what: 'keys',
    ask: (server) => post(`${CLIENT}/keys/query`, { device_keys: { [`@x:${server}`]: [] } }),
    path: /\/user\/keys\/query/,
    head: (server) => `{"device_keys":{"@x:${server}":`,
  },
  {
    what: 'one-time keys',
    ask: (server) =>
      post(`${CLIENT}/keys/claim`, {
        one_time_keys: { [`@x:${server}`]: { X: 'signed_curve25519' } },
      }),
    path: /\/user\/keys\/claim/,
    head: (server) => `{"one_time_keys":{"@x:${server}":`,
  },
  {
    what: 'room summary',
    ask: (server) => ({
      method: 'GET',
      path: `/_matrix/client/v1/room_summary/${segment(`!room:${server}`)}?via=${segment(server)}`,
    }),
    path: /\/hierarchy\//,
    head: () => '{"children":',
  },
  { what: 'make_join', ask: join, path: /\/make_join\//, head: () => '{"event":' },
  { what: 'send_join', ask: join, path: /\/send_join\//, head: () => '{"state":' },
];

/** What leads to the hostile answer: a join is prepared before it is sent. */
export const honestAnswer = (path: string): object | undefined => {
  const [, room, user] = /\/make_join\/([^/]+)\/([^/?]+)/.exec(path) ?? [];
  if (room === undefined || user === undefined) return undefined;
  const event = {
    ...{ type: 'm.room.member', content: { membership: 'join' }, origin_server_ts: Date.now() },
    ...{ room_id: decodeURIComponent(room), sender: decodeURIComponent(user) },
    ...{ state_key: decodeURIComponent(user), auth_events: [], prev_events: [], depth: 2 },
  };
  return { room_version: '11', event };
};
