/** The content of the account data that holds a room's tags. */
import { type Static, Type } from 'typebox';
import type { JsonObject } from '../../../spec/event.ts';

export const tagsType = 'm.tag';

export const Tag = Type.Unsafe<JsonObject & { order?: number }>(
  Type.Object({ order: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })) }),
);

export const tagsIn = (content: JsonObject | undefined): JsonObject => {
  const tags = content?.['tags'];
  return typeof tags === 'object' && tags !== null && !Array.isArray(tags) ? tags : {};
};

export const Tags = Type.Object({ tags: Type.Record(Type.String(), Tag) });
export type Tags = Static<typeof Tags>;
