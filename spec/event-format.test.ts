import type { JsonObject } from './event.ts';
import {
  checkContentHash,
  InvalidEventError,
  MAX_DEPTH,
  parsePdu,
  trustedEvent,
  withCheckedContent,
} from './event-format.ts';
import { KNOWN_ROOM_VERSIONS, type RoomVersionRules, rulesOf } from './room-versions.ts';
import { buildRoom } from './testing/room-builder.ts';

/** A message as it travels in a room of this version, and the rules to read it by. */
const wireMessage = (version: string, changes: JsonObject = {}) => {
  const room = buildRoom({ version });
  const message = room.message(room.creator);
  const json = JSON.parse(room.json.get(message.eventId) ?? '') as JsonObject;
  return { room, message, rules: room.rules, json: { ...json, ...changes } };
};

const failure = (json: unknown, rules: RoomVersionRules): InvalidEventError => {
  try {
    parsePdu(json, rules);
  } catch (error) {
    if (error instanceof InvalidEventError) return error;
    throw error;
  }
  throw new Error('the event was accepted');
};

describe.each(KNOWN_ROOM_VERSIONS)('a PDU of version %s', (version) => {
  const { json, message, rules } = wireMessage(version);

  it('is read, with what nobody knows kept', () => {
    const event = parsePdu({ ...json, custom: { a: [1] } }, rules);
    expect(event.pdu).toEqual({ ...json, custom: { a: [1] } });
    expect(event).toMatchObject({
      roomId: message.roomId,
      type: 'm.room.message',
      stateKey: undefined,
      sender: message.sender,
      prevEventIds: message.prevEventIds,
      authEventIds: message.authEventIds,
    });
    // Unknown keys are redacted before the id is made.
    expect(event.eventId).toBe(message.eventId);
    expect(trustedEvent(message.pdu, message.eventId)).toEqual(message);
  });

  it.each<[string, unknown]>([
    ['type', undefined],
    ['type', 1],
    ['type', 'a\u0000b'],
    ['type', 'a\ud800'],
    ['state_key', 1],
    ['state_key', null],
    ['state_key', '\u0000'],
    ['state_key', '\udbff'],
    ['room_id', undefined],
    ['room_id', '!room'],
    ['room_id', '#room:example.org'],
    ['sender', undefined],
    ['sender', 'alice'],
    ['sender', { mxid: '@alice:example.org' }],
    ['content', undefined],
    ['content', []],
    ['content', null],
    ['content', 'text'],
    ['origin_server_ts', undefined],
    ['origin_server_ts', 1.5],
    ['origin_server_ts', '1'],
    ['depth', undefined],
    ['depth', -1],
    ['depth', 1.5],
    ['depth', '1'],
    ['depth', 2 ** 64],
    ['hashes', undefined],
    ['hashes', {}],
    ['hashes', { sha256: 1 }],
    ['signatures', undefined],
    ['signatures', []],
    ['signatures', { 'example.org': 1 }],
    ['signatures', { 'example.org': { 'ed25519:1': 1 } }],
    ['unsigned', 1],
    ['prev_events', undefined],
    ['prev_events', {}],
    ['prev_events', [1]],
    ['prev_events', [null]],
    ['prev_events', ['event']],
    ['auth_events', undefined],
    ['auth_events', [[]]],
    ['auth_events', [['$a:x', 1]]],
  ])('needs a better %s than %j', (field, value) => {
    const changed = { ...json, [field]: value as string };
    if (value === undefined) delete changed[field];
    expect(failure(changed, rules)).toMatchObject({ reason: 'malformed' });
  });

  it.each([null, undefined, 1, 'text', [], true])('is not %j', (value) => {
    expect(failure(value, rules).reason).toBe('malformed');
  });

  it('has at most 20 prev events and 10 auth events', () => {
    const reference = (json['prev_events'] as string[])[0] ?? '';
    expect(parsePdu({ ...json, prev_events: Array(20).fill(reference) }, rules)).toBeDefined();
    expect(failure({ ...json, prev_events: Array(21).fill(reference) }, rules).message).toMatch(
      'prev_events',
    );
    expect(parsePdu({ ...json, auth_events: Array(10).fill(reference) }, rules)).toBeDefined();
    expect(failure({ ...json, auth_events: Array(11).fill(reference) }, rules).message).toMatch(
      'auth_events',
    );
  });

  it('has a type and a state key of at most 255 bytes', () => {
    const longest = `${'é'.repeat(127)}a`;
    expect(parsePdu({ ...json, type: longest, state_key: longest }, rules).type).toBe(longest);
    for (const field of ['type', 'state_key']) {
      expect(failure({ ...json, [field]: 'é'.repeat(128) }, rules)).toMatchObject({
        reason: 'too_large',
      });
    }
  });

  it('has at most 65,536 bytes of canonical JSON', () => {
    const withBody = (length: number) => ({ ...json, content: { body: 'x'.repeat(length) } });
    const size = Buffer.byteLength(JSON.stringify(withBody(0)));
    expect(parsePdu(withBody(65_536 - size), rules)).toBeDefined();
    expect(failure(withBody(65_537 - size), rules)).toMatchObject({ reason: 'too_large' });
  });

  it('is redacted if its content hash is wrong', () => {
    const event = parsePdu(json, rules);
    expect(checkContentHash(event, rules)).toBe(true);
    expect(withCheckedContent(event, rules)).toBe(event);
    const forged = parsePdu({ ...json, content: { body: 'forged' } }, rules);
    expect(checkContentHash(forged, rules)).toBe(false);
    expect(withCheckedContent(forged, rules)).toMatchObject({
      eventId: message.eventId,
      content: {},
      pdu: { content: {} },
    });
    const noHash = parsePdu({ ...json, hashes: { sha256: 'not base64!' } }, rules);
    expect(checkContentHash(noHash, rules)).toBe(false);
  });
});

it('numbers are integers of the safe range from version 6 on', () => {
  for (const version of KNOWN_ROOM_VERSIONS) {
    const { json, rules } = wireMessage(version);
    for (const number of [0.5, 2 ** 53, 1e300]) {
      const changed = { ...json, content: { number } };
      if (Number(version) < 6) expect(parsePdu(changed, rules).content).toEqual({ number });
      else expect(failure(changed, rules).reason).toBe('malformed');
    }
    // Written as 1e400, a number that no double holds.
    const infinite = { ...json, content: { number: Number.POSITIVE_INFINITY } };
    expect(failure(infinite, rules).reason).toBe('malformed');
  }
});

it('a depth beyond the safe range is let in, and capped, up to version 5', () => {
  for (const version of KNOWN_ROOM_VERSIONS) {
    const { json, rules } = wireMessage(version, { depth: 2 ** 62 });
    if (Number(version) < 6) expect(parsePdu(json, rules).depth).toBe(MAX_DEPTH);
    else expect(failure(json, rules).reason).toBe('malformed');
  }
});

it('references are pairs in versions 1 and 2, and ids in the format of the version later', () => {
  const formats: Record<string, unknown> = {
    '1': ['$a:example.org', { sha256: 'hash' }],
    '3': `$${'a+/'.repeat(14)}a`,
    '4': `$${'a-_'.repeat(14)}a`,
  };
  const formatOf: Record<string, string> = { '1': '1', '2': '1', '3': '3' };
  for (const version of KNOWN_ROOM_VERSIONS) {
    const { json, rules } = wireMessage(version);
    for (const [format, reference] of Object.entries(formats)) {
      const changed = { ...json, prev_events: [reference] };
      if (format === (formatOf[version] ?? '4')) expect(parsePdu(changed, rules)).toBeDefined();
      else expect(failure(changed, rules).message).toMatch('prev_events');
    }
  }
});

it('events of versions 1 and 2 carry an id of their own', () => {
  for (const event_id of [undefined, 1, '$a', '!a:x', `$${'a'.repeat(255)}:x`]) {
    const { json, rules } = wireMessage('2');
    expect(failure({ ...json, event_id }, rules).message).toMatch('event_id');
  }
});

it('redacts is text where it is a key of the format', () => {
  const old = wireMessage('10', { redacts: 1 });
  expect(failure(old.json, old.rules).message).toMatch('redacts');
  const recent = wireMessage('11', { redacts: 1 });
  expect(parsePdu(recent.json, recent.rules)).toBeDefined();
});

describe('room ids of version 12', () => {
  const rules = rulesOf('12') as RoomVersionRules;
  const room = buildRoom({ version: '12' });
  const create = JSON.parse(room.json.get(room.create.eventId) ?? '') as JsonObject;

  it('come from the id of the create event', () => {
    expect(create['room_id']).toBeUndefined();
    const event = parsePdu(create, rules);
    expect(event.roomId).toBe(`!${event.eventId.slice(1)}`);
  });

  it('are needed by all other events', () => {
    expect(failure({ ...create, type: 'm.room.topic' }, rules).message).toMatch('room_id');
    expect(failure({ ...create, room_id: '!room:alpha.test' }, rules).message).toMatch('room_id');
  });

  it('are not refused here to a create event, so that it can be kept as rejected', () => {
    const event = parsePdu({ ...create, room_id: room.roomId }, rules);
    expect(event.pdu.room_id).toBe(room.roomId);
  });
});

it('historical senders are accepted', () => {
  const { json, rules } = wireMessage('12', { sender: '@Ünï cödé:example.org' });
  expect(parsePdu(json, rules).sender).toBe('@Ünï cödé:example.org');
});
