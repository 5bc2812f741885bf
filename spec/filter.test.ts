import type { JsonObject, JsonValue } from './event.ts';
import { compileFilter, compileRoomEventFilter } from './filter.ts';

const message = {
  type: 'm.room.message',
  sender: '@alice:example.org',
  roomId: '!room:example.org',
  content: { msgtype: 'm.text', body: 'hello' },
};
const passes = (filter: JsonObject, event = message) =>
  compileRoomEventFilter(filter).matchesEvent(event);

describe('events', () => {
  it('pass an empty filter', () => {
    expect(passes({})).toBe(true);
    expect(passes({ unknown_key: { whatever: 1 } })).toBe(true);
  });

  it('are chosen by type, with wildcards', () => {
    expect(passes({ types: ['m.room.message'] })).toBe(true);
    expect(passes({ types: ['m.room.*'] })).toBe(true);
    expect(passes({ types: ['*'] })).toBe(true);
    expect(passes({ types: ['m.room'] })).toBe(false);
    expect(passes({ types: ['m.*.topic', 'm.*.message'] })).toBe(true);
    expect(passes({ types: ['m?room?message'] })).toBe(false);
    expect(passes({ not_types: ['m.room.*'] })).toBe(false);
    expect(passes({ types: ['m.room.message'], not_types: ['m.room.mess*'] })).toBe(false);
  });

  it('are chosen by sender, and exclusion wins', () => {
    const [alice, bob] = ['@alice:example.org', '@bob:example.org'];
    expect(passes({ senders: [alice] })).toBe(true);
    expect(passes({ senders: [bob] })).toBe(false);
    expect(passes({ not_senders: [bob] })).toBe(true);
    expect(passes({ senders: [alice], not_senders: [alice] })).toBe(false);
  });

  it('are chosen by room, and exclusion wins', () => {
    const [here, there] = ['!room:example.org', '!other:example.org'];
    expect(passes({ rooms: [here] })).toBe(true);
    expect(passes({ rooms: [there] })).toBe(false);
    expect(passes({ rooms: [here], not_rooms: [here] })).toBe(false);
    expect(compileRoomEventFilter({ rooms: [here] }).matchesRoom(there)).toBe(false);
  });

  it('are chosen by whether their content has a url', () => {
    const image = { ...message, content: { url: 'mxc://example.org/a' } as JsonObject };
    expect(compileRoomEventFilter({ contains_url: true }).matchesEvent(image)).toBe(true);
    expect(compileRoomEventFilter({ contains_url: false }).matchesEvent(image)).toBe(false);
    expect(passes({ contains_url: true })).toBe(false);
    expect(passes({ contains_url: false })).toBe(true);
  });

  it('without a sender are in no list of senders', () => {
    const { accountData } = compileFilter({ account_data: { senders: ['@alice:example.org'] } });
    expect(accountData.matchesEvent({ type: 'm.direct' })).toBe(false);
    expect(compileFilter({}).accountData.matchesEvent({ type: 'm.direct' })).toBe(true);
  });

  it('never pass an empty list', () => {
    for (const filter of [{ types: [] }, { senders: [] }, { rooms: [] }]) {
      expect(passes(filter)).toBe(false);
      expect(compileRoomEventFilter(filter).matchesNothing).toBe(true);
    }
    expect(compileRoomEventFilter({}).matchesNothing).toBe(false);
  });
});

describe('a sync filter', () => {
  it('has the defaults of the specification', () => {
    const filter = compileFilter({});
    expect(filter).toMatchObject({
      eventFields: undefined,
      eventFormat: 'client',
      room: {
        includeLeave: false,
        timeline: {
          limit: 10,
          lazyLoadMembers: false,
          includeRedundantMembers: false,
          unreadThreadNotifications: false,
        },
      },
    });
    expect(filter.room.matchesRoom('!any:example.org')).toBe(true);
  });

  it('reads every part', () => {
    const filter = compileFilter({
      event_format: 'federation',
      presence: { not_senders: ['@alice:example.org'] },
      room: {
        include_leave: true,
        rooms: ['!a:example.org', '!b:example.org'],
        not_rooms: ['!b:example.org'],
        state: { lazy_load_members: true, include_redundant_members: true },
        timeline: { limit: 25, unread_thread_notifications: true },
        ephemeral: { types: ['m.receipt'] },
        account_data: { not_types: ['m.tag'] },
      },
    });
    expect(filter.eventFormat).toBe('federation');
    expect(filter.presence.matchesEvent({ type: 'm.presence', sender: '@alice:example.org' })).toBe(
      false,
    );
    expect(filter.room.includeLeave).toBe(true);
    expect(
      ['!a:example.org', '!b:example.org', '!c:example.org'].filter(filter.room.matchesRoom),
    ).toEqual(['!a:example.org']);
    expect(filter.room.state).toMatchObject({
      lazyLoadMembers: true,
      includeRedundantMembers: true,
    });
    expect(filter.room.timeline).toMatchObject({ limit: 25, unreadThreadNotifications: true });
    expect(filter.room.ephemeral.matchesType('m.typing')).toBe(false);
    expect(filter.room.accountData.matchesType('m.tag')).toBe(false);
  });

  it('keeps limits between nothing and the maximum', () => {
    const limitOf = (limit: number) =>
      compileFilter({ room: { timeline: { limit } } }, { defaultLimit: 20, maxLimit: 50 }).room
        .timeline.limit;
    expect(limitOf(0)).toBe(0);
    expect(limitOf(30)).toBe(30);
    expect(limitOf(1_000_000)).toBe(50);
    expect(compileFilter({}, { defaultLimit: 20, maxLimit: 50 }).presence.limit).toBe(20);
  });

  it('returns only the event fields asked for', () => {
    const event = {
      type: 'm.room.message',
      sender: '@alice:example.org',
      content: { body: 'hello', 'm.relates_to': { rel_type: 'm.thread', event_id: '$a' } },
      unsigned: { age: 1 },
    };
    const fields = (...event_fields: string[]) => {
      const select = compileFilter({ event_fields }).eventFields;
      return JSON.parse(JSON.stringify(select?.(event)));
    };
    expect(fields('type', 'content.body')).toEqual({
      type: 'm.room.message',
      content: { body: 'hello' },
    });
    expect(fields('content', 'content.body')).toEqual({ content: event.content });
    expect(fields('content.body', 'content')).toEqual({ content: event.content });
    expect(fields(String.raw`content.m\.relates_to.rel_type`)).toEqual({
      content: { 'm.relates_to': { rel_type: 'm.thread' } },
    });
    expect(fields('content.missing', 'unsigned.age.deeper', '__proto__.x', 'constructor')).toEqual(
      {},
    );
    expect(fields()).toEqual({});
    expect(event.content.body).toBe('hello');
  });
});

describe('a malformed filter is refused with M_BAD_JSON', () => {
  const timeline = (value: JsonValue) => ({ room: { timeline: value } });
  it.each<[string, JsonValue]>([
    ['not an object', ['a']],
    ['presence is not an object', { presence: 'not_an_object' }],
    ['room is not an object', { room: 1 }],
    ['room.timeline is not an object', timeline('not_an_object')],
    ['room.state is not an object', { room: { state: 'x' } }],
    ['room.ephemeral is not an object', { room: { ephemeral: 'x' } }],
    ['room.account_data is not an object', { room: { account_data: [] } }],
    ['rooms is not a list', timeline({ rooms: 'not_a_list' })],
    ['not_rooms is not a list', timeline({ not_rooms: 'not_a_list' })],
    ['senders is not a list', timeline({ senders: 'not_a_list' })],
    ['not_senders is not a list', timeline({ not_senders: {} })],
    ['types is not a list', timeline({ types: 'not_a_list' })],
    ['not_types is not a list', timeline({ not_types: 'not_a_list' })],
    ['a type is a number', timeline({ types: [0] })],
    ['a room is not a room id', timeline({ rooms: ['not_a_room_id'] })],
    ['a sender is not a user id', timeline({ senders: ['not_a_sender_id'] })],
    ['a negative limit', timeline({ limit: -1 })],
    ['a fractional limit', timeline({ limit: 1.5 })],
    ['a limit as text', timeline({ limit: '10' })],
    ['a flag as text', timeline({ lazy_load_members: 'true' })],
    ['contains_url as a number', timeline({ contains_url: 1 })],
    ['an unknown event format', { event_format: 'xml' }],
    ['an event field that is no text', { event_fields: [{}] }],
    ['an absurdly deep event field', { event_fields: ['a.'.repeat(100)] }],
    ['an absurdly long list', { presence: { types: Array(1_001).fill('m.presence') } }],
  ])('%s', (_name, definition) => {
    expect(() => compileFilter(definition)).toThrow(
      expect.objectContaining({ errcode: 'M_BAD_JSON', status: 400 }),
    );
  });

  it('says which key is at fault', () => {
    expect(() => compileFilter(timeline({ types: [0] }))).toThrow('filter.room.timeline.types');
  });
});
