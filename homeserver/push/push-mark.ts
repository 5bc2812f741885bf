/**
 * What an event means to people whose push rules are the predefined ones, in one number that is
 * stored with it: most unread events are then counted without being read. Only the event itself is
 * asked; whatever depends on the reader or the room is left to the rules.
 */
import type { MatrixEvent } from '../../spec/event.ts';
import { isJsonObject } from '../../spec/property-path.ts';
import { relationOf } from '../rooms/relations.ts';

export const pushKinds = {
  /** Notifies nobody. */
  quiet: 0,
  /** Notifies everybody in the main timeline, and highlights for nobody. */
  plain: 1,
  /** To be judged by the rules for each person. */
  special: 2,
  /** Kept from clients, and so never counted. */
  hidden: 3,
} as const;

type PushKind = (typeof pushKinds)[keyof typeof pushKinds];

/** The kind in the lowest two bits, and above it the tag of the sender. */
export type PushMark = number;

export const pushMarkOf = (event: MatrixEvent, isHidden: boolean): PushMark =>
  (senderTag(event.sender) << 2) | (isHidden ? pushKinds.hidden : pushKindOf(event));

/**
 * 29 bits that are the same for the same user: events of another tag are others'. Two users may
 * share one.
 */
export const senderTag = (userId: string): number => {
  let hash = 0x811c9dc5;
  for (let index = 0; index < userId.length; index += 1) {
    hash = Math.imul(hash ^ userId.charCodeAt(index), 0x01000193);
  }
  return hash >>> 3;
};

/** https://spec.matrix.org/v1.19/client-server-api/#predefined-rules, in their order. */
export const pushKindOf = ({ type, stateKey, content }: MatrixEvent): PushKind => {
  // Rules match without regard to case, which no type in use asks for.
  if (type !== type.toLowerCase()) return pushKinds.special;
  const { msgtype } = content;
  if (typeof msgtype === 'string' && msgtype.toLowerCase() === 'm.notice') return pushKinds.quiet;
  if (type === 'm.room.member') {
    const { membership } = content;
    const mayInvite = typeof membership === 'string' && membership.toLowerCase() === 'invite';
    return mayInvite ? pushKinds.special : pushKinds.quiet;
  }
  const mentions = content['m.mentions'];
  if (isJsonObject(mentions)) {
    const { user_ids: users, room } = mentions;
    if (room === true || (Array.isArray(users) && users.length > 0)) return pushKinds.special;
  }
  if (type === 'm.room.tombstone' && stateKey === '') return pushKinds.special;
  const notifies =
    type === 'm.room.message' || type === 'm.room.encrypted' || type === 'm.call.invite';
  if (!notifies) return pushKinds.quiet;
  const relation = content['m.relates_to'];
  if (isJsonObject(relation) && relation['rel_type'] === 'm.replace') return pushKinds.quiet;
  // A thread has counts of its own.
  return relationOf(content) === undefined ? pushKinds.plain : pushKinds.special;
};
