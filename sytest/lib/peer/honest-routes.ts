/** What an honest homeserver answers, as far as a server under test asks for it. */

import { PeerRefusal, type PeerRoute } from './inbound.ts';
import { type Pdu, rulesOf, signEvent } from './pdu.ts';
import type { ReceivedInvite, ReceivedTransaction } from './peer.ts';
import type { PeerRoom } from './room.ts';
import type { SigningKey } from './signing.ts';

const V1 = '/_matrix/federation/v1';
const V2 = '/_matrix/federation/v2';
const DAY_MS = 24 * 3600 * 1000;

/** What the answers are made from. */
interface Host {
  readonly name: string;
  readonly key: SigningKey;
  readonly rooms: ReadonlyMap<string, PeerRoom>;
  readonly received: ReceivedTransaction[];
  readonly invites: ReceivedInvite[];
}

export function honestRoutes(host: Host): PeerRoute[] {
  return [...identity(host), ...handshakes(host), ...history(host), ...deliveries(host)];
}

function identity(host: Host): PeerRoute[] {
  return [
    {
      method: 'GET',
      path: '/_matrix/key/v2/server',
      open: true,
      handler: () =>
        host.key.signJson(
          {
            server_name: host.name,
            verify_keys: { [host.key.id]: { key: host.key.publicKey } },
            old_verify_keys: {},
            valid_until_ts: Date.now() + DAY_MS,
          },
          host.name,
        ),
    },
    {
      method: 'GET',
      path: `${V1}/version`,
      open: true,
      handler: () => ({ server: { name: 'test peer', version: '1' } }),
    },
    {
      method: 'GET',
      path: `${V1}/query/profile`,
      handler: ({ query }) => ({ displayname: `profile of ${query.get('user_id')}` }),
    },
    {
      method: 'GET',
      path: `${V1}/query/directory`,
      handler: ({ query }) => {
        const [room] = host.rooms.values();
        if (room === undefined)
          throw new PeerRefusal(404, 'M_NOT_FOUND', `${query.get('room_alias')}`);
        return { room_id: room.id, servers: [host.name] };
      },
    },
  ];
}

/** make_* gives a draft; send_* takes the finished event into the room. */
function handshakes(host: Host): PeerRoute[] {
  const make = (membership: string): PeerRoute => ({
    method: 'GET',
    path: `${V1}/make_${membership}/{roomId}/{userId}`,
    handler: ({ params: [roomId, user] }) => {
      const room = roomOf(host, roomId!);
      const content = { membership };
      const event = room.drafts({ type: 'm.room.member', sender: user!, stateKey: user!, content });
      return { room_version: room.version, event };
    },
  });
  const takeIn = (roomId: string, event: Pdu): PeerRoom => {
    const room = roomOf(host, roomId);
    room.adds(event);
    return room;
  };
  return [
    make('join'),
    make('leave'),
    make('knock'),
    {
      method: 'PUT',
      path: `${V2}/send_join/{roomId}/{eventId}`,
      handler: ({ params: [roomId], body }) => {
        const room = roomOf(host, roomId!);
        const authoriser = body.content.join_authorised_via_users_server;
        const event = authoriser?.endsWith(`:${host.name}`)
          ? signEvent(body as Pdu, room.rules, host.name, host.key)
          : (body as Pdu);
        room.adds(event);
        const { state, authChain } = room.stateBefore(room.idOf(event))!;
        return { origin: host.name, event, state, auth_chain: authChain, members_omitted: false };
      },
    },
    {
      method: 'PUT',
      path: `${V2}/send_leave/{roomId}/{eventId}`,
      handler: ({ params: [roomId], body }) => {
        takeIn(roomId!, body);
        return {};
      },
    },
    {
      method: 'PUT',
      path: `${V1}/send_knock/{roomId}/{eventId}`,
      handler: ({ params: [roomId], body }) => {
        const room = takeIn(roomId!, body);
        const create = room.stateEvent('m.room.create')!;
        const { type, sender, state_key, content } = create;
        return { knock_room_state: [{ type, sender, state_key, content }] };
      },
    },
    {
      method: 'PUT',
      path: `${V2}/invite/{roomId}/{eventId}`,
      handler: ({ params: [room], body }) => {
        const { room_version: version, invite_room_state: stripped } = body;
        const event = signEvent(body.event as Pdu, rulesOf(version), host.name, host.key);
        host.invites.push({ room: room!, version, event, stripped });
        return { event };
      },
    },
  ];
}

function history(host: Host): PeerRoute[] {
  const stateAt = (roomId: string, eventId: string | null) => {
    const room = roomOf(host, roomId);
    const found = eventId === null ? undefined : room.stateBefore(eventId);
    if (found === undefined) throw new PeerRefusal(404, 'M_NOT_FOUND', `no event ${eventId}`);
    return { room, ...found };
  };
  return [
    {
      method: 'GET',
      path: `${V1}/event/{eventId}`,
      handler: ({ params: [eventId] }) => {
        for (const room of host.rooms.values()) {
          const pdu = room.event(eventId!);
          if (pdu) return { origin: host.name, origin_server_ts: Date.now(), pdus: [pdu] };
        }
        throw new PeerRefusal(404, 'M_NOT_FOUND', `no event ${eventId}`);
      },
    },
    {
      method: 'GET',
      path: `${V1}/state/{roomId}`,
      handler: ({ params: [roomId], query }) => {
        const { state, authChain } = stateAt(roomId!, query.get('event_id'));
        return { pdus: state, auth_chain: authChain };
      },
    },
    {
      method: 'GET',
      path: `${V1}/state_ids/{roomId}`,
      handler: ({ params: [roomId], query }) => {
        const { room, state, authChain } = stateAt(roomId!, query.get('event_id'));
        const ids = (pdus: Pdu[]) => pdus.map((pdu) => room.idOf(pdu));
        return { pdu_ids: ids(state), auth_chain_ids: ids(authChain) };
      },
    },
    {
      method: 'GET',
      path: `${V1}/event_auth/{roomId}/{eventId}`,
      handler: ({ params: [roomId, eventId] }) => {
        const room = roomOf(host, roomId!);
        const pdu = room.event(eventId!);
        if (pdu === undefined) throw new PeerRefusal(404, 'M_NOT_FOUND', `no event ${eventId}`);
        return { auth_chain: room.authChain([pdu]) };
      },
    },
    {
      method: 'GET',
      path: `${V1}/backfill/{roomId}`,
      handler: ({ params: [roomId], query }) => {
        const limit = Number(query.get('limit') ?? 10);
        const pdus = roomOf(host, roomId!).ancestors(query.getAll('v'), limit);
        return { origin: host.name, origin_server_ts: Date.now(), pdus };
      },
    },
    {
      method: 'POST',
      path: `${V1}/get_missing_events/{roomId}`,
      handler: ({ params: [roomId], body }) => {
        const room = roomOf(host, roomId!);
        const { latest_events: latest, earliest_events: earliest, limit = 10 } = body;
        const before = latest.flatMap((id: string) => room.event(id)?.prev_events ?? []);
        return { events: room.ancestors(before, limit, earliest).reverse() };
      },
    },
  ];
}

function deliveries(host: Host): PeerRoute[] {
  return [
    {
      method: 'PUT',
      path: `${V1}/send/{txnId}`,
      handler: ({ origin, body }) => {
        const { pdus, edus = [] } = body as { pdus: Pdu[]; edus?: ReceivedTransaction['edus'] };
        host.received.push({ origin, pdus, edus });
        const results: Record<string, object> = {};
        for (const pdu of pdus) {
          const room = host.rooms.get(pdu.room_id ?? '');
          if (room === undefined) continue;
          room.adds(pdu);
          results[room.idOf(pdu)] = {};
        }
        return { pdus: results };
      },
    },
  ];
}

function roomOf(host: Host, id: string): PeerRoom {
  const room = host.rooms.get(id);
  if (room === undefined) throw new PeerRefusal(404, 'M_NOT_FOUND', `no room ${id}`);
  return room;
}
