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
import { turns } from '../../homeserver/turns.ts';
import { canonicalJson } from '../../spec/canonical-json.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import type { EphemeralEdu } from './outbound-source.ts';
import type { OwnedSender } from './owned-sender.ts';

export interface LocalEdusDeps {
  readonly sender: Pick<OwnedSender, 'sendEphemeral'>;
  readonly registry: RoomRegistry;
  readonly clock: Clock;
  readonly typing: Pick<Typing, 'onLocalChange'>;
  readonly receipts: Pick<Receipts, 'onLocalReceipt'>;
  readonly presence: Pick<Presence, 'onLocalChange'>;
}

/** Someone seen this lately is "currently active". */
const ACTIVE_MS = 5 * 60_000;
/** News of presence that wait to be told; as many people as may be remembered. */
const maxWaitingNews = 20_000;

export const sendLocalEdus = (deps: LocalEdusDeps): void => {
  const { sender, registry, clock, typing, receipts, presence } = deps;
  typing.onLocalChange(({ roomNid, roomId, userId, typing }) => {
    const tell = (room: LiveRoom | undefined): void => {
      if (room === undefined) return;
      const content = { room_id: roomId, user_id: userId, typing };
      sender.sendEphemeral(
        room.committedServers,
        edu('m.typing', content, `typing ${roomId} ${userId}`, false),
      );
    };
    // Another process may have been told, which alone has the room in memory.
    const room = registry.findByNid(roomNid);
    if (room instanceof Promise) room.then(tell, () => undefined);
    else tell(room);
  });
  receipts.onLocalReceipt((room, { userId, threadId, eventId, receivedAtMs }) => {
    const data = { ts: receivedAtMs, ...(threadId !== '' && { thread_id: threadId }) };
    const content = { [room.id]: { 'm.read': { [userId]: { event_ids: [eventId], data } } } };
    const key = `receipt ${room.id} ${userId} ${threadId}`;
    sender.sendEphemeral(room.committedServers, edu('m.receipt', content, key, true));
  });
  presence.onLocalChange(
    inTurns(({ user, roomNids, server }) => {
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
        const servers = registry.cached(roomNid)?.committedServers;
        if (servers !== undefined) for (const other of servers) destinations.add(other);
      }
      const key = `presence ${userId}`;
      sender.sendEphemeral(destinations, edu('m.presence', { push: [entry] }, key, false));
    }),
  );
};

/**
 * Presence may be news of many at once, each to all servers of all of their rooms: after a restart
 * everyone has been reminded of at the same moment. It waits for its turn, in the order it came.
 */
const inTurns = <News>(tell: (news: News) => void): ((news: News) => void) => {
  const waiting: News[] = [];
  const work = async (): Promise<void> => {
    const giveWay = turns();
    let failure: unknown;
    for (let next = 0; next < waiting.length; next += 1) {
      const wait = giveWay();
      if (wait !== undefined) await wait;
      try {
        tell(waiting[next] as News);
      } catch (error) {
        failure ??= error;
      }
    }
    waiting.length = 0;
    // A bug, for the process to log; the others have been told.
    if (failure !== undefined) throw failure;
  };
  return (news) => {
    // What nobody has come to tell is told again later.
    if (waiting.length === maxWaitingNews) return;
    if (waiting.push(news) === 1) setImmediate(work);
  };
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
