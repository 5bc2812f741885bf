/**
 * Joining a room through a server that is in it.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
 */
import type { EventStore } from '../../homeserver/rooms/event-store.ts';
import type { RoomImporter } from '../../homeserver/rooms/import-room.ts';
import type { LiveRoom } from '../../homeserver/rooms/live-room.ts';
import type { RemoteReceiver } from '../../homeserver/rooms/receive.ts';
import type { RoomOfVersion } from '../../homeserver/rooms/remote-events.ts';
import type { RemoteMembership } from '../../homeserver/rooms/remote-rooms.ts';
import type { RoomRegistry } from '../../homeserver/rooms/room-registry.ts';
import { lenientCanonicalJson } from '../../spec/canonical-json.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import { IMPLICIT_ROOM_VERSION } from '../../spec/room-versions.ts';
import { authorisingUserOf } from '../../spec/signing.ts';
import { checkPdus } from '../checked-events.ts';
import type { KeyRing } from '../keys/key-ring.ts';
import { type FederationEvents, STATE_BOUNDS } from '../remote-events.ts';
import { uri } from '../uri.ts';
import { BadAnswer, firstToHelp } from './candidates.ts';
import { signedTemplate, type TemplateDeps } from './member-template.ts';
import { requestEitherVersion } from './older-servers.ts';

export interface OutboundJoinDeps extends TemplateDeps {
  readonly keyRing: KeyRing;
  readonly remoteEvents: FederationEvents;
  readonly importer: RoomImporter;
  readonly receiver: RemoteReceiver;
  readonly registry: RoomRegistry;
  readonly events: EventStore;
  /** For all servers that are asked to let someone in. */
  readonly joinTimeoutMs: number;
}

export class OutboundJoin {
  readonly #deps: OutboundJoinDeps;

  constructor(deps: OutboundJoinDeps) {
    this.#deps = deps;
  }

  /** @throws MatrixError */
  async join(request: RemoteMembership): Promise<void> {
    await firstToHelp(request.servers, this.#deps.joinTimeoutMs, (server, leftMs) =>
      this.#joinThrough(server, request, leftMs),
    );
  }

  async #joinThrough(server: ServerName, request: RemoteMembership, leftMs: number): Promise<void> {
    const deadlineMs = performance.now() + leftMs;
    const { roomId, userId, content } = request;
    const { importer } = this.#deps;
    const before = await this.#deps.registry.find(roomId);
    const { event, rules } = await signedTemplate(this.#deps, server, {
      userId,
      roomId,
      content,
      membership: 'join',
      version: before?.rules.version,
      leftMs,
    });
    const room: RoomOfVersion = { id: roomId, rules };
    const answer = await requestEitherVersion(
      this.#deps.client,
      {
        destination: server,
        method: 'PUT',
        path: uri`/_matrix/federation/v2/send_join/${roomId}/${event.eventId}`,
        query: { omit_members: false },
        canonicalBody: lenientCanonicalJson(event.pdu as unknown as JsonObject),
        essential: true,
        // A large room's server takes its time to collect the state.
        timeoutMs: Math.max(1, deadlineMs - performance.now()),
        purpose: 'person',
        requester: userId,
        ...STATE_BOUNDS,
      },
      uri`/_matrix/federation/v1/send_join/${roomId}/${event.eventId}`,
    );
    const joinEvent = await this.#acceptedEvent(server, room, event, answer['event']);
    // Others of ours may have come in meanwhile, and it may only have been for authorisation.
    const resident = await this.#residentRoom(roomId);
    if (resident !== undefined) {
      await this.#takeIn(server, resident, joinEvent);
      return;
    }
    if (answer['members_omitted'] === true) {
      throw new BadAnswer(`${server} left out members without being asked to`);
    }
    const { state, authChain } = await this.#deps.remoteEvents.stateIn(
      server,
      room,
      answer['state'],
      answer['auth_chain'],
    );
    checkCreateEvent(server, room, state);
    await importer.importRoom({ roomId, rules, joinEvent, state, authChain });
  }

  /** A room that this server is in already. */
  async #residentRoom(roomId: LiveRoom['id']): Promise<LiveRoom | undefined> {
    const room = await this.#deps.registry.find(roomId);
    return room?.hasJoinedServer(this.#deps.serverName) === true ? room : undefined;
  }

  async #takeIn(server: ServerName, room: LiveRoom, event: MatrixEvent): Promise<void> {
    const { receiver, events } = this.#deps;
    const receipt = (await receiver.receive(server, room, [event])).get(event.eventId);
    if (receipt?.isPassing === true) throw new Error(receipt.error);
    const stored = await events.byId(event.eventId);
    const problem = receipt?.error ?? stored?.rejectedReason;
    if (problem !== undefined) throw matrixError('M_FORBIDDEN', problem);
    if (stored?.softFailed === true) {
      throw matrixError('M_FORBIDDEN', 'The room as it is now does not allow it');
    }
  }

  /** Our join as the other server has signed it; the signature counts where the join rests on it. */
  async #acceptedEvent(
    server: ServerName,
    room: RoomOfVersion,
    ours: MatrixEvent,
    answered: unknown,
  ): Promise<MatrixEvent> {
    const [checked] =
      answered === undefined ? [] : await checkPdus(this.#deps.keyRing, room, [answered]);
    if (checked?.event?.eventId === ours.eventId) {
      return { ...ours, pdu: { ...ours.pdu, signatures: checked.event.pdu.signatures } };
    }
    if (authorisingUserOf(ours, room.rules) !== undefined) {
      throw new BadAnswer(
        `${server} did not authorise the join: ${checked?.error ?? 'its signature is missing'}`,
      );
    }
    return ours;
  }
}

/** A room is of the version its create event says, not of one that suits whoever answers. */
const checkCreateEvent = (
  server: ServerName,
  { id, rules }: RoomOfVersion,
  state: readonly MatrixEvent[],
): void => {
  const create = state.find(({ type, stateKey }) => type === 'm.room.create' && stateKey === '');
  if (create === undefined || create.roomId !== id) {
    throw new BadAnswer(`${server} answered a room without its create event`);
  }
  const version = create.content['room_version'] ?? IMPLICIT_ROOM_VERSION;
  if (version !== rules.version) {
    throw new BadAnswer(`${server} gave the room version ${rules.version}, but it is another`);
  }
};
