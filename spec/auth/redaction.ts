/**
 * Whether a redaction that is itself authorised may be carried out.
 *
 * Specification: https://spec.matrix.org/v1.19/rooms/v12/#handling-redactions
 */
import type { MatrixEvent } from '../event.ts';
import { serverNameOf } from '../identifiers.ts';
import { powerLevelsOf } from '../power-levels.ts';
import { redactsOf } from '../redaction.ts';
import type { RoomVersionRules } from '../room-versions.ts';
import type { AuthInput } from './auth-context.ts';

/**
 * Whether `redaction` redacts `target`. Both are accepted events; the state is that at the
 * redaction.
 */
export const mayApplyRedaction = (
  redaction: MatrixEvent,
  target: MatrixEvent,
  { createEvent, state }: AuthInput,
  rules: RoomVersionRules,
): boolean => {
  if (redactsOf(redaction, rules) !== target.eventId) return false;
  if (redaction.roomId !== target.roomId) return false;
  // In room versions 1 and 2 the authorisation rules have decided already.
  if (rules.authoriseRedactions) return true;
  // 1. The power level of the redaction event's sender is greater than or equal to the redact level.
  const powerLevels = powerLevelsOf(state('m.room.power_levels', ''), createEvent, rules);
  if (powerLevels.canRedact(redaction.sender)) return true;
  // 2. The domain of the redaction event's sender matches that of the original event's sender.
  return serverNameOf(redaction.sender) === serverNameOf(target.sender);
};
