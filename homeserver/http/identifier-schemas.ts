/**
 * Schemas for the identifiers that routes take and give, typed as the branded strings of
 * `spec/identifiers.ts`.
 */
import { Type } from 'typebox';
import type {
  DeviceId,
  EventId,
  RoomAlias,
  RoomId,
  ServerName,
  UserId,
} from '../../spec/identifiers.ts';

const identifier = <T extends string>(format: string) =>
  Type.Unsafe<T>(Type.String({ format: `matrix-${format}` }));

export const UserIdSchema = identifier<UserId>('user-id');
export const RoomIdSchema = identifier<RoomId>('room-id');
export const EventIdSchema = identifier<EventId>('event-id');
export const RoomAliasSchema = identifier<RoomAlias>('room-alias');
export const RoomIdOrAliasSchema = identifier<RoomId | RoomAlias>('room-id-or-alias');
export const ServerNameSchema = identifier<ServerName>('server-name');
export const DeviceIdSchema = identifier<DeviceId>('device-id');
