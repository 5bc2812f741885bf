/** What the routes for joining, knocking and leaving have in common. */
import { Type } from 'typebox';
import { RoomIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import type { Auth } from '../../homeserver/http/route.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import type { MembershipHandshakes } from '../rooms/membership-handshakes.ts';
import { PduSchema } from './room-reading.ts';

export interface HandshakeRouteDeps {
  readonly auth: Auth<ServerName>;
  readonly handshakes: MembershipHandshakes;
}

export const TemplateSchema = Type.Object({ room_version: Type.String(), event: PduSchema });

/**
 * What a body may be that is one event: 64 KiB in its canonical form, several times that as some
 * write it, and no more values than fit.
 */
export const eventBody = { maxBodyBytes: 256 * 1024, maxBodyValues: 33_000 } as const;

/** The event id is compared with the event's own; its format depends on the room version. */
export const SubmittedParams = Type.Object({ roomId: RoomIdSchema, eventId: Type.String() });
