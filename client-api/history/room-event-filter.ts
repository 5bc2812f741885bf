import { matrixError } from '../../spec/errors.ts';
import type { JsonValue } from '../../spec/event.ts';
import { compileRoomEventFilter, type RoomEventFilter } from '../../spec/filter.ts';

const everything = compileRoomEventFilter({});

/** The filter written out in a query. @throws MatrixError M_INVALID_PARAM, M_BAD_JSON */
export const roomEventFilterOf = (text: string | undefined): RoomEventFilter => {
  if (text === undefined || text === '') return everything;
  let definition: JsonValue;
  try {
    definition = JSON.parse(text) as JsonValue;
  } catch {
    throw matrixError('M_INVALID_PARAM', 'query/filter is not JSON');
  }
  return compileRoomEventFilter(definition);
};
