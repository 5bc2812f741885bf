import { toClientEvent, toStrippedState } from './client-event.ts';
import type { EventId } from './identifiers.ts';
import { buildRoom } from './testing/room-builder.ts';

const room = buildRoom();

it('clients see of a message what concerns them', () => {
  const message = room.message(room.creator, 'hello');
  expect(toClientEvent(message, room.rules)).toEqual({
    content: { msgtype: 'm.text', body: 'hello' },
    event_id: message.eventId,
    origin_server_ts: message.originServerTs,
    room_id: room.roomId,
    sender: room.creator,
    type: 'm.room.message',
  });
});

it('clients see a state key, even an empty one', () => {
  const topic = room.setState('m.room.topic', { topic: 'x' });
  expect(toClientEvent(topic, room.rules)).toHaveProperty('state_key', '');
});

it('the room id may be left out, and only our own unsigned is shown', () => {
  const message = room.message(room.creator);
  const remote = { ...message, pdu: { ...message.pdu, unsigned: { redacted_because: 'lies' } } };
  const unsigned = { age: 12, transaction_id: 'm1' };
  expect(toClientEvent(remote, room.rules)).not.toHaveProperty('unsigned');
  const shown = toClientEvent(remote, room.rules, { withRoomId: false, unsigned });
  expect(shown).not.toHaveProperty('room_id');
  expect(shown['unsigned']).toEqual(unsigned);
});

it('the create event of version 12 has its room id', () => {
  expect(toClientEvent(room.create, room.rules)['room_id']).toBe(room.roomId);
});

it.each(['1', '10', '11', '12'])(
  'redactions of version %s say in both places what they redact',
  (version) => {
    const own = buildRoom({ version });
    const redacts = own.message(own.creator).eventId;
    const redaction = own.send({
      type: 'm.room.redaction',
      sender: own.creator,
      ...(own.rules.redaction.redactsInContent ? { content: { redacts } } : { redacts }),
    });
    const shown = toClientEvent(redaction, own.rules);
    expect(shown['redacts']).toBe(redacts);
    expect(shown['content']).toEqual({ redacts });
    expect(redaction.content).toEqual(own.rules.redaction.redactsInContent ? { redacts } : {});
  },
);

it('only redactions have redacts', () => {
  const message = room.send({
    type: 'm.room.message',
    sender: room.creator,
    content: { redacts: '$other' as EventId },
  });
  expect(toClientEvent(message, room.rules)).not.toHaveProperty('redacts');
});

it('stripped state has four properties', () => {
  const topic = room.setState('m.room.topic', { topic: 'x' });
  expect(toStrippedState(topic)).toEqual({
    content: { topic: 'x' },
    sender: room.creator,
    state_key: '',
    type: 'm.room.topic',
  });
});
