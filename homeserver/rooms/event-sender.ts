/**
 * What clients send into rooms: messages, state and redactions.
 * https://spec.matrix.org/v1.19/client-server-api/#sending-events-to-a-room
 */
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import {
  type DeviceId,
  type EventId,
  isEventId,
  type RoomId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../spec/identifiers.ts';
import type { EventTransaction } from '../storage/event-transactions.ts';
import type { DeviceTransactions } from './device-transactions.ts';
import type { LocalEvents } from './local-events.ts';
import type { Membership } from './membership.ts';
import { checkRelation, type RelationChecksDeps } from './relation-checks.ts';
import type { RoomAliases } from './room-aliases.ts';
import type { RoomRegistry } from './room-registry.ts';

/** Who sends. */
export interface Sender {
  readonly userId: UserId;
  readonly deviceId: DeviceId | undefined;
  readonly isGuest: boolean;
  readonly isAdmin: boolean;
  /** Redacting their own events is all that suspended people may send. */
  readonly suspended: boolean;
}

export interface Message {
  readonly roomId: RoomId;
  readonly type: string;
  readonly txnId: string;
  readonly content: JsonObject;
  /** `origin_server_ts`, where an application service gives it. */
  readonly ts?: number | undefined;
}

export interface EventSenderDeps extends RelationChecksDeps {
  readonly serverName: ServerName;
  readonly registry: RoomRegistry;
  readonly localEvents: LocalEvents;
  readonly transactions: DeviceTransactions;
  readonly membership: Membership;
  readonly aliases: RoomAliases;
}

/** For application services, which may act without a device. */
const noDevice = '' as DeviceId;
/** Events without which a room cannot be what it is. */
const neverRedacted = new Set(['m.room.create', 'm.room.server_acl']);

/** Whether a room exists is no business of those who are not in it. */
const notInRoom = () => matrixError('M_FORBIDDEN', 'You are not in this room');

export class EventSender {
  readonly #deps: EventSenderDeps;

  constructor(deps: EventSenderDeps) {
    this.#deps = deps;
  }

  /** Sends a message event, once for each transaction. @throws MatrixError M_FORBIDDEN, M_TOO_LARGE */
  message(sender: Sender, message: Message): Promise<EventId> {
    const { roomId, type, txnId, content, ts } = message;
    if (type === 'm.room.redaction') {
      const { redacts, ...rest } = content;
      if (typeof redacts !== 'string' || !isEventId(redacts)) {
        throw matrixError('M_BAD_JSON', "'redacts' is not an event id");
      }
      return this.#redact(sender, { roomId, txnId, content: rest, ts }, redacts, undefined);
    }
    const transaction = { roomId, type, target: undefined, txnId };
    return this.#once(sender, transaction, async (deviceId) => {
      this.#checkSuspended(sender);
      if (content['m.relates_to'] !== undefined) {
        await checkRelation(this.#deps, { sender: sender.userId, type, content });
      }
      return this.#deps.localEvents.send(roomId, {
        type,
        sender: sender.userId,
        content,
        originServerTs: ts,
        senderDevice: deviceId,
        txnId,
      });
    });
  }

  /**
   * Redacts an event. https://spec.matrix.org/v1.19/client-server-api/#redactions
   * @throws MatrixError M_FORBIDDEN
   */
  redaction(sender: Sender, message: Omit<Message, 'type'>, redacts: EventId): Promise<EventId> {
    return this.#redact(sender, message, redacts, redacts);
  }

  /** @param target the event in the path of the request, which is part of its transaction */
  #redact(
    sender: Sender,
    { roomId, txnId, content, ts }: Omit<Message, 'type'>,
    redacts: EventId,
    target: EventId | undefined,
  ): Promise<EventId> {
    const type = 'm.room.redaction';
    return this.#once(sender, { roomId, type, target, txnId }, async (deviceId) => {
      await this.#checkRedaction(sender, roomId, redacts);
      return this.#deps.localEvents.send(roomId, {
        type,
        sender: sender.userId,
        content,
        redacts,
        originServerTs: ts,
        senderDevice: deviceId,
        txnId,
        txnTarget: target,
      });
    });
  }

  /** @throws MatrixError M_FORBIDDEN, M_BAD_ALIAS, M_INVALID_PARAM, M_TOO_LARGE, M_INVITE_BLOCKED */
  async state(
    sender: Sender,
    event: Omit<Message, 'txnId'> & { readonly stateKey: string },
  ): Promise<EventId> {
    const { roomId, type, stateKey, content, ts } = event;
    const isOwnLeave = stateKey === sender.userId && content['membership'] === 'leave';
    if (!(type === 'm.room.member' && isOwnLeave)) this.#checkSuspended(sender);
    // Coming in is for the rules on membership to decide, and may be through another server.
    const isEntry = type === 'm.room.member' && stateKey === sender.userId;
    if (!isEntry) {
      const room = await this.#deps.registry.find(roomId);
      if (room?.membership(sender.userId) !== 'join') throw notInRoom();
    }
    if (type === 'm.room.member') {
      return this.#deps.membership.setState(
        sender.userId,
        roomId,
        stateKey,
        content,
        sender.isGuest,
      );
    }
    if (type === 'm.room.canonical_alias') {
      await this.#deps.aliases.checkCanonicalAlias(roomId, sender.userId, content);
    }
    const draft = { type, stateKey, sender: sender.userId, content, originServerTs: ts };
    return this.#deps.localEvents.send(roomId, draft);
  }

  #once(
    { userId, deviceId = noDevice }: Sender,
    transaction: EventTransaction,
    send: (deviceId: DeviceId) => Promise<EventId>,
  ): Promise<EventId> {
    const { transactions, registry } = this.#deps;
    return transactions.once(userId, deviceId, transaction, async () => {
      const room = await registry.find(transaction.roomId);
      if (room?.membership(userId) !== 'join') throw notInRoom();
      return send(deviceId);
    });
  }

  async #checkRedaction(sender: Sender, roomId: RoomId, redacts: EventId): Promise<void> {
    const { registry, events, localEvents, serverName } = this.#deps;
    const room = await registry.find(roomId);
    const target = await events.byId(redacts);
    if (room === undefined) throw notInRoom();
    if (target?.roomNid !== room.nid) {
      // It may yet come, and is redacted then if the redaction may do that.
      this.#checkSuspended(sender);
      return;
    }
    const { type, sender: author } = target.event;
    if (neverRedacted.has(type)) {
      throw matrixError('M_FORBIDDEN', `Events of type ${type} cannot be redacted`);
    }
    if (author === sender.userId) return;
    this.#checkSuspended(sender);
    const isOurs = serverNameOf(author) === serverName;
    if (sender.isAdmin && isOurs) return;
    if (!(await localEvents.powerLevels(room)).canRedact(sender.userId)) {
      throw matrixError('M_FORBIDDEN', 'You may not redact the events of others in this room');
    }
  }

  #checkSuspended({ suspended }: Sender): void {
    if (suspended) throw matrixError('M_USER_SUSPENDED', 'Your account is suspended');
  }
}
