/**
 * An event made ready for the push rules of every member of its room: what the rules look up is
 * found and lowercased once, whoever's rule asks first.
 */
import type { JsonValue, MatrixEvent } from '../event.ts';
import { propertyAt } from '../property-path.ts';

/** What push rules need to know about the room, at the event. */
export interface PushRoomContext {
  /** Joined members. */
  readonly memberCount: number;
  /** Infinite for the creators of a room whose version says so. */
  readonly senderPowerLevel: number;
  /** `notifications` of the room's power levels, by notification type. */
  readonly notificationLevels: Readonly<Record<string, number>>;
}

/** The level needed for a notification type that the power levels do not mention. */
const DEFAULT_NOTIFICATION_LEVEL = 50;

interface Property {
  readonly value: JsonValue | undefined;
  lowercase: string | undefined;
}

export class PreparedEvent {
  readonly roomId: string;
  readonly sender: string;
  readonly memberCount: number;
  readonly #event: MatrixEvent;
  readonly #room: PushRoomContext;
  readonly #properties = new Map<string, Property>();

  constructor(event: MatrixEvent, room: PushRoomContext) {
    this.roomId = event.roomId;
    this.sender = event.sender;
    this.memberCount = room.memberCount;
    this.#event = event;
    this.#room = room;
  }

  /** The property at a path, given both as written and taken apart. */
  valueAt(key: string, path: readonly string[]): JsonValue | undefined {
    return this.#propertyAt(key, path).value;
  }

  /** The same in lowercase if it is a string. */
  lowercaseAt(key: string, path: readonly string[]): string | undefined {
    const property = this.#propertyAt(key, path);
    if (property.lowercase === undefined && typeof property.value === 'string') {
      property.lowercase = property.value.toLowerCase();
    }
    return property.lowercase;
  }

  /** Whether the sender's power suffices for a type of notification, such as `room`. */
  senderMayNotify(type: string): boolean {
    const { notificationLevels, senderPowerLevel } = this.#room;
    const needed = Object.hasOwn(notificationLevels, type)
      ? notificationLevels[type]!
      : DEFAULT_NOTIFICATION_LEVEL;
    return senderPowerLevel >= needed;
  }

  #propertyAt(key: string, path: readonly string[]): Property {
    let property = this.#properties.get(key);
    if (property === undefined) {
      property = { value: this.#lookUp(path), lowercase: undefined };
      this.#properties.set(key, property);
    }
    return property;
  }

  /** Ids are looked up where every room version has them, not in the PDU. */
  #lookUp(path: readonly string[]): JsonValue | undefined {
    if (path.length === 1 && path[0] === 'room_id') return this.#event.roomId;
    if (path.length === 1 && path[0] === 'event_id') return this.#event.eventId;
    return propertyAt(this.#event.pdu as unknown as JsonValue, path);
  }
}
