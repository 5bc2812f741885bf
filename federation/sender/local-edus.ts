/**
 * What this server's users do that is worth telling others only now: typing, reading, being online.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#edus
 */
import type { Clock } from '../../homeserver/clock.ts';
import type { LiveRoom } from '../../homeserver/rooms/live-room.ts';
import type { RoomRegistry } from '../../homeserver/rooms/room-registry.ts';
import type { Presence } from '../../homeserver/streams/presence.ts';
import type { Receipts } from '../../homeserver/streams/receipts.ts';
import type { Typing } from '../../homeserver/streams/typing.ts';
import { canonicalJson } from '../../spec/canonical-json.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import type { FederationSender } from './federation-sender.ts';
import type { EphemeralEdu } from './outbound-source.ts';

export interface LocalEdusDeps {
  readonly sender: Pick<FederationSender, 'sendEphemeral'>;
  readonly registry: RoomRegistry;
  readonly clock: Clock;
  readonly typing: Pick<Typing, 'onLocalChange'>;
  readonly receipts: Pick<Receipts, 'onLocalReceipt'>;
  readonly presence: Pick<Presence, 'onLocalChange'>;
}

/** Someone seen this lately is "currently active". */
const ACTIVE_MS = 5 * 60_000;

export const sendLocalEdus = (deps: LocalEdusDeps): void => {
  const { sender, registry, clock, typing, receipts, presence } = deps;
  typing.onLocalChange(({ roomNid, roomId, userId, typing }) => {
    const room = registry.cached(roomNid);
    if (room === undefined) return;
    const content = { room_id: roomId, user_id: userId, typing };
    sender.sendEphemeral(
      othersIn(room),
      edu('m.typing', content, `typing ${roomId} ${userId}`, false),
    );
  });
  receipts.onLocalReceipt((room, { userId, threadId, eventId, receivedAtMs }) => {
    const data = { ts: receivedAtMs, ...(threadId !== '' && { thread_id: threadId }) };
    const content = { [room.id]: { 'm.read': { [userId]: { event_ids: [eventId], data } } } };
    const key = `receipt ${room.id} ${userId} ${threadId}`;
    sender.sendEphemeral(othersIn(room), edu('m.receipt', content, key, true));
  });
  presence.onLocalChange(({ user, roomNids, server }) => {
    const { userId, presence, statusMsg, lastActiveMs } = user;
    const agoMs = Math.max(0, clock.nowMs() - lastActiveMs);
    const entry: JsonObject = {
      user_id: userId,
      presence,
      last_active_ago: agoMs,
      currently_active: presence === 'online' && agoMs < ACTIVE_MS,
      ...(statusMsg !== undefined && { status_msg: statusMsg }),
    };
    const destinations = new Set<ServerName>(server === undefined ? [] : [server]);
    for (const roomNid of server === undefined ? roomNids : []) {
      // A room that is not in memory has been quiet; its servers hear of the next change.
      const room = registry.cached(roomNid);
      if (room !== undefined) for (const other of othersIn(room)) destinations.add(other);
    }
    const key = `presence ${userId}`;
    sender.sendEphemeral(destinations, edu('m.presence', { push: [entry] }, key, false));
  });
};

const othersIn = (room: LiveRoom): Set<ServerName> => {
  const servers = new Set(room.joinedServers);
  servers.delete(room.localServer);
  return servers;
};

const edu = (
  type: string,
  content: JsonObject,
  key: string,
  keepWhenDown: boolean,
): EphemeralEdu => ({
  canonicalJson: canonicalJson({ content, edu_type: type }),
  key,
  keepWhenDown,
});
