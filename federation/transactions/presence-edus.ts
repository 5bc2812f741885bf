/**
 * Presence of other servers' users.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#presence
 */
import type { Clock } from '../../homeserver/clock.ts';
import type { Presence, UserPresence } from '../../homeserver/streams/presence.ts';
import { presenceStates } from '../../homeserver/streams/presence-activity.ts';
import type { JsonValue } from '../../spec/event.ts';
import { isUserId, type ServerName, serverNameOf } from '../../spec/identifiers.ts';
import type { EduDispatcher } from './edu-dispatcher.ts';

export interface PresenceEdusDeps {
  readonly presence: Pick<Presence, 'receive'>;
  readonly clock: Clock;
}

/** Of one EDU. */
const MAX_USERS = 500;

export const handlePresenceEdus = (
  edus: EduDispatcher,
  { presence, clock }: PresenceEdusDeps,
): void => {
  edus.on('m.presence', async (origin, { push }) => {
    const nowMs = clock.nowMs();
    const users = (Array.isArray(push) ? push : [])
      .slice(0, MAX_USERS)
      .flatMap((entry) => presenceIn(origin, entry, nowMs));
    await presence.receive(users);
  });
};

const presenceIn = (origin: ServerName, entry: JsonValue, nowMs: number): UserPresence[] => {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return [];
  const { user_id: userId, presence, status_msg: statusMsg, last_active_ago: agoMs } = entry;
  if (typeof userId !== 'string' || !isUserId(userId) || serverNameOf(userId) !== origin) return [];
  const state = presenceStates.find((known) => known === presence);
  if (state === undefined) return [];
  const isAgo = Number.isSafeInteger(agoMs) && (agoMs as number) >= 0 && (agoMs as number) < nowMs;
  return [
    {
      userId,
      presence: state,
      statusMsg: typeof statusMsg === 'string' ? statusMsg : undefined,
      lastActiveMs: isAgo ? nowMs - (agoMs as number) : 0,
    },
  ];
};
