/** Where one state event is. */
import { Type } from 'typebox';
import { RoomIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { clientPaths } from '../../paths.ts';

/** An empty state key may be left out with its slash. */
export const statePaths = [
  ...clientPaths('v3', '/rooms/{roomId}/state/{eventType}/{stateKey}'),
  ...clientPaths('v3', '/rooms/{roomId}/state/{eventType}'),
];

export const StateParams = Type.Object({
  roomId: RoomIdSchema,
  eventType: Type.String({ minLength: 1 }),
  stateKey: Type.String({ default: '' }),
});
