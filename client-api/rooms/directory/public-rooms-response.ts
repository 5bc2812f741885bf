/** The answer of both operations that list the published rooms. */
import { Type } from 'typebox';
import { AnyObject } from '../../schemas.ts';

export const PublicRoomsResponse = Type.Unsafe<object>(
  Type.Object({
    chunk: Type.Array(AnyObject),
    next_batch: Type.Optional(Type.String()),
    prev_batch: Type.Optional(Type.String()),
    total_room_count_estimate: Type.Optional(Type.Integer()),
  }),
);
