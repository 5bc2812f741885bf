/** What this server's users may not send as a relation, though other servers may bring it. */
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { UserId } from '../../spec/identifiers.ts';
import { isJsonObject } from '../../spec/property-path.ts';
import type { Db } from '../storage/database.ts';
import { annotationsBy } from '../storage/relations.ts';
import type { EventStore } from './event-store.ts';
import { type Relation, relationOf } from './relations.ts';

export interface RelationChecksDeps {
  readonly database: Db;
  readonly events: EventStore;
}

export interface RelatingDraft {
  readonly sender: UserId;
  readonly type: string;
  readonly content: JsonObject;
}

/**
 * @throws MatrixError M_UNKNOWN (400) for a thread that begins within another relation,
 * M_DUPLICATE_ANNOTATION
 */
export const checkRelation = async (
  deps: RelationChecksDeps,
  draft: RelatingDraft,
): Promise<void> => {
  const relation = relationOf(draft.content);
  if (relation?.type === 'm.thread') await checkThread(deps, relation);
  if (relation?.type === 'm.annotation') await checkAnnotation(deps, draft, relation);
};

/** https://spec.matrix.org/v1.19/client-server-api/#validation-of-mthread-relationships */
const checkThread = async (
  { events }: RelationChecksDeps,
  { eventId }: Relation,
): Promise<void> => {
  const root = await events.byId(eventId);
  // A plain reply relates to nothing in this sense: clients begin threads with those.
  if (root !== undefined && relationOf(root.event.content) !== undefined) {
    const message = 'A thread cannot begin with an event that relates to another';
    throw matrixError('M_UNKNOWN', message, {}, { status: 400 });
  }
};

/** https://spec.matrix.org/v1.19/client-server-api/#avoiding-duplicate-annotations */
const checkAnnotation = async (
  { database, events }: RelationChecksDeps,
  { sender, type, content }: RelatingDraft,
  { eventId }: Relation,
): Promise<void> => {
  const parent = await events.byId(eventId);
  if (parent === undefined) return;
  const nids = await annotationsBy(database, parent.roomNid, eventId, sender, type);
  if (nids.length === 0) return;
  const key = keyOf(content);
  const earlier = await events.manyByNid(parent.roomNid, nids);
  if ([...earlier.values()].some(({ event }) => keyOf(event.content) === key)) {
    throw matrixError('M_DUPLICATE_ANNOTATION', 'You have annotated the event with this already');
  }
};

const keyOf = (content: JsonObject): unknown => {
  const relation = content['m.relates_to'];
  return isJsonObject(relation) ? relation['key'] : undefined;
};
