import { checkAuthEvents } from '../auth/auth-events.ts';
import { authoriseEvent } from '../auth/authorise-event.ts';
import { canonicalJsonFor } from '../canonical-json.ts';
import type { JsonObject } from '../event.ts';
import { stateKeyOf } from '../event.ts';
import { checkContentHash, parsePdu } from '../event-format.ts';
import { KNOWN_ROOM_VERSIONS } from '../room-versions.ts';
import { requiredSigners, verifyEventSignature } from '../signing.ts';
import { buildRoom, testSigningKey } from './room-builder.ts';

const ALICE = '@alice:alpha.test';
const BOB = '@bob:beta.test';

describe.each(KNOWN_ROOM_VERSIONS)('a room of version %s', (version) => {
  const room = buildRoom({ version });
  room.member(BOB, 'join');
  room.message(BOB);
  room.setState('m.room.topic', { topic: 'tests' });
  room.send({ type: 'm.room.redaction', sender: ALICE, redacts: room.create.eventId });
  const onTheWire = room.timeline.map(
    (event) => [event, JSON.parse(room.json.get(event.eventId) ?? '')] as const,
  );

  it('is the same after a journey over the wire', () => {
    for (const [event, json] of onTheWire) {
      expect(parsePdu(json, room.rules)).toEqual(event);
      expect(canonicalJsonFor(room.rules)(json)).toBe(room.json.get(event.eventId));
    }
  });

  it('is hashed and signed', async () => {
    for (const [, json] of onTheWire) {
      const event = parsePdu(json, room.rules);
      expect(checkContentHash(event, room.rules)).toBe(true);
      for (const server of requiredSigners(event, room.rules)) {
        const { keyId, publicKey } = testSigningKey(server);
        const isSignedWith = (key: string) =>
          verifyEventSignature(event, room.rules, server, keyId, key);
        expect(isSignedWith(publicKey)).toBe(true);
        expect(isSignedWith(testSigningKey('other.test').publicKey)).toBe(false);
      }
    }
  });

  it('is authorised', () => {
    for (const [i, event] of room.timeline.entries()) {
      const before = room.timeline[i - 1];
      const state = before === undefined ? () => undefined : room.lookup(before);
      const authEvents = room.authEventsOf(event).map((auth) => ({ event: auth, rejected: false }));
      expect(() => checkAuthEvents(event, authEvents, room.rules)).not.toThrow();
      expect(() =>
        authoriseEvent(event, room.rules, { createEvent: room.create, state }),
      ).not.toThrow();
    }
  });
});

describe('forks', () => {
  it('keep their own states and meet through the resolver', () => {
    const room = buildRoom({ resolve: (states) => states[0] ?? new Map() });
    const base = room.extremities;
    const left = room.setState('m.room.topic', { topic: 'left' }, { prev: base });
    const right = room.setState('m.room.topic', { topic: 'right' }, { prev: base });
    const more = room.message(ALICE, 'hello', { prev: [right] });
    const topic = stateKeyOf('m.room.topic', '');
    expect(room.stateAfter(left).get(topic)).toBe(left.eventId);
    expect(room.stateAfter(more).get(topic)).toBe(right.eventId);
    expect(room.extremities).toEqual([left, more]);
    const merge = room.message(ALICE);
    expect(merge.prevEventIds).toEqual([left.eventId, more.eventId]);
    expect(room.stateAfter(merge).get(topic)).toBe(left.eventId);
  });

  it('that disagree need a resolver', () => {
    const room = buildRoom();
    const base = room.extremities;
    room.setState('m.room.topic', { topic: 'left' }, { prev: base });
    room.setState('m.room.topic', { topic: 'right' }, { prev: base });
    expect(() => room.message(ALICE)).toThrow('states differ');
  });
});

it('makes the same events from the same calls, and other rooms under other names', () => {
  const content: JsonObject = { 'm.federate': false };
  expect(buildRoom({ createContent: content }).timeline).toEqual(
    buildRoom({ createContent: content }).timeline,
  );
  expect(buildRoom({ name: 'other' }).roomId).not.toBe(buildRoom().roomId);
});
