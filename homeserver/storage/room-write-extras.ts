/**
 * What a write to a room brings besides its events: new rooms, gaps, redactions, servers, chains,
 * relations.
 * Rare beside messages, so each kind takes a statement of its own, and none when there is nothing.
 */
import type { Tx } from './database.ts';
import { maxUnappliedRedactions } from './redactions.ts';
import type { RoomWrite } from './room-write.ts';

const writeRoomsAndGaps = async (tx: Tx, writes: readonly RoomWrite[]): Promise<void> => {
  const created = writes.filter((write) => write.create !== undefined);
  if (created.length > 0) {
    await tx.query({
      name: 'log-create-rooms',
      text: `INSERT INTO rooms (room_nid, room_id, version, created_at_ms)
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[])
        -- Known from hearsay before.
        ON CONFLICT (room_nid) DO UPDATE SET version = EXCLUDED.version
          WHERE EXCLUDED.version IS NOT NULL`,
      values: [
        created.map((w) => w.roomNid),
        created.map((w) => w.create?.roomId),
        created.map((w) => w.create?.version),
        created.map((w) => w.create?.createdAtMs),
      ],
    });
  }
  const found = writes.flatMap((w) =>
    w.foundPrevEvents.map((eventId) => [w.roomNid, eventId] as const),
  );
  if (found.length > 0) {
    await tx.query({
      text: `DELETE FROM missing_prev_events m USING unnest($1::bigint[], $2::text[])
        AS f (room_nid, event_id) WHERE m.room_nid = f.room_nid AND m.event_id = f.event_id`,
      values: [found.map(([nid]) => nid), found.map(([, id]) => id)],
    });
  }
  const missing = writes.flatMap((w) => w.missingPrevEvents.map((m) => ({ ...m, nid: w.roomNid })));
  if (missing.length > 0) {
    await tx.query({
      text: `INSERT INTO missing_prev_events (room_nid, event_id, referenced_by_nid)
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[]) ON CONFLICT DO NOTHING`,
      values: [
        missing.map((m) => m.nid),
        missing.map((m) => m.eventId),
        missing.map((m) => m.referencedByNid),
      ],
    });
  }
  const redactions = writes.flatMap((w) => w.redactions.map((r) => ({ ...r, nid: w.roomNid })));
  if (redactions.length > 0) {
    await tx.query({
      text: `UPDATE events SET json = r.json, redacted_by_nid = r.by
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) AS r (room, nid, by, json)
        WHERE room_nid = r.room AND event_nid = r.nid`,
      values: [
        redactions.map((r) => r.nid),
        redactions.map((r) => r.eventNid),
        redactions.map((r) => r.redactedByNid),
        redactions.map((r) => r.json),
      ],
    });
    // Those that have waited for their targets were kept from clients.
    await tx.query({
      text: `UPDATE events SET soft_failed = false
        FROM unnest($1::bigint[], $2::bigint[]) AS r (room, by)
        WHERE room_nid = r.room AND event_nid = r.by AND soft_failed`,
      values: [redactions.map((r) => r.nid), redactions.map((r) => r.redactedByNid)],
    });
  }
};

/** A change that comes and goes within one batch leaves an interval of its own, which is right. */
const writeServers = async (tx: Tx, writes: readonly RoomWrite[]): Promise<void> => {
  const positions = new Map(
    writes.flatMap((w) => w.events.map((row) => [row.eventNid, row.streamPos] as const)),
  );
  for (const { roomNid, serverChanges } of writes) {
    if (serverChanges.length === 0) continue;
    const rows = serverChanges.map((change) => ({
      ...change,
      position: positions.get(change.causedByNid) ?? 0,
    }));
    const [came, went] = [rows.filter((row) => row.joined), rows.filter((row) => !row.joined)];
    const write = (text: string, changes: typeof rows): Promise<unknown> =>
      tx.query({
        text,
        values: [roomNid, changes.map((c) => c.server), changes.map((c) => c.position)],
      });
    if (came.length > 0) {
      await write(
        `INSERT INTO server_rooms (room_nid, server, from_pos)
          SELECT $1::bigint, * FROM unnest($2::text[], $3::bigint[]) ON CONFLICT DO NOTHING`,
        came,
      );
    }
    if (went.length > 0) {
      await write(
        `UPDATE server_rooms s SET to_pos = w.position
          FROM unnest($2::text[], $3::bigint[]) AS w (server, position)
          WHERE s.server = w.server AND s.room_nid = $1 AND s.to_pos IS NULL
            AND s.from_pos <= w.position`,
        went,
      );
    }
  }
};

/** An interval that holds a single event. */
const writeOutsiders = async (tx: Tx, writes: readonly RoomWrite[]): Promise<void> => {
  const rows = writes.flatMap((w) =>
    w.outsiders.map(({ eventNid, server }) => ({
      server,
      roomNid: w.roomNid,
      position: w.events.find((row) => row.eventNid === eventNid)?.streamPos ?? 0,
    })),
  );
  if (rows.length === 0) return;
  await tx.query({
    text: `INSERT INTO server_rooms (server, room_nid, from_pos, to_pos)
      SELECT server, room_nid, position - 1, position
        FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS o (server, room_nid, position)
      ON CONFLICT DO NOTHING`,
    values: [
      rows.map((row) => row.server),
      rows.map((row) => row.roomNid),
      rows.map((row) => row.position),
    ],
  });
};

const writeUnappliedRedactions = async (tx: Tx, writes: readonly RoomWrite[]): Promise<void> => {
  const here = writes.flatMap((w) => w.awaitedTargets.map((id) => [w.roomNid, id] as const));
  if (here.length > 0) {
    await tx.query({
      text: `DELETE FROM unapplied_redactions u USING unnest($1::bigint[], $2::text[])
        AS h (room_nid, event_id) WHERE u.room_nid = h.room_nid AND u.event_id = h.event_id`,
      values: [here.map(([nid]) => nid), here.map(([, id]) => id)],
    });
  }
  const rows = writes.flatMap((w) => w.unappliedRedactions.map((r) => ({ ...r, nid: w.roomNid })));
  if (rows.length === 0) return;
  await tx.query({
    text: `INSERT INTO unapplied_redactions (room_nid, event_id, redaction_nid)
      SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[]) ON CONFLICT DO NOTHING`,
    values: [rows.map((r) => r.nid), rows.map((r) => r.eventId), rows.map((r) => r.redactionNid)],
  });
  await tx.query({
    text: `DELETE FROM unapplied_redactions u USING (
        SELECT room_nid, (SELECT redaction_nid FROM unapplied_redactions k
          WHERE k.room_nid = r.room_nid ORDER BY redaction_nid DESC OFFSET $2 LIMIT 1) AS newest_lost
        FROM unnest($1::bigint[]) AS r (room_nid)
      ) l WHERE u.room_nid = l.room_nid AND u.redaction_nid <= l.newest_lost`,
    values: [[...new Set(rows.map((r) => r.nid))], maxUnappliedRedactions],
  });
};

const placeName = (chainNid: number, seq: number): string => `${chainNid} ${seq}`;

type ChainLink = RoomWrite['chainLinks'][number];

/** A place's first link is written with the place, which the same write brings; `links` are the others. */
const placedLinks = (
  writes: readonly RoomWrite[],
): { first: Map<string, ChainLink>; links: (ChainLink & { nid: number })[] } => {
  const first = new Map<string, ChainLink>();
  const links: (ChainLink & { nid: number })[] = [];
  for (const { roomNid, chainLinks } of writes) {
    for (const link of chainLinks) {
      const place = placeName(link.fromChain, link.fromSeq);
      if (first.has(place)) links.push({ ...link, nid: roomNid });
      else first.set(place, link);
    }
  }
  return { first, links };
};

const writeChains = async (tx: Tx, writes: readonly RoomWrite[]): Promise<void> => {
  const places = writes.flatMap((w) => w.chainPlaces.map((p) => ({ ...p, nid: w.roomNid })));
  const { first, links } = placedLinks(writes);
  if (places.length > 0) {
    const toFirst = places.map((p) => first.get(placeName(p.chainNid, p.seq)));
    await tx.query({
      name: 'log-chain-places',
      text: `INSERT INTO auth_chain_places (room_nid, event_nid, chain_nid, seq, to_chain_nid, to_seq)
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::int[], $5::bigint[],
          $6::int[])
        ON CONFLICT DO NOTHING`,
      values: [
        places.map((p) => p.nid),
        places.map((p) => p.eventNid),
        places.map((p) => p.chainNid),
        places.map((p) => p.seq),
        toFirst.map((link) => link?.toChain ?? null),
        toFirst.map((link) => link?.toSeq ?? null),
      ],
    });
  }
  if (links.length > 0) {
    await tx.query({
      name: 'log-chain-links',
      text: `INSERT INTO auth_chain_links (room_nid, from_chain_nid, from_seq, to_chain_nid, to_seq)
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::bigint[], $5::int[])`,
      values: [
        links.map((l) => l.nid),
        links.map((l) => l.fromChain),
        links.map((l) => l.fromSeq),
        links.map((l) => l.toChain),
        links.map((l) => l.toSeq),
      ],
    });
  }
};

const writeRelations = async (tx: Tx, writes: readonly RoomWrite[]): Promise<void> => {
  const rows = writes.flatMap((w) => w.events.filter(({ relation }) => relation !== undefined));
  if (rows.length === 0) return;
  await tx.query({
    name: 'log-relations',
    text: `INSERT INTO event_relations (room_nid, parent_id, rel_type, event_nid, type, sender)
      SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[])
      ON CONFLICT DO NOTHING`,
    values: [
      rows.map((row) => row.roomNid),
      rows.map((row) => row.relation?.parentId),
      rows.map((row) => row.relation?.type),
      rows.map((row) => row.eventNid),
      rows.map((row) => row.type),
      rows.map((row) => row.sender),
    ],
  });
};

/** Whether there is anything here to write. */
export const hasExtras = (write: RoomWrite): boolean =>
  write.create !== undefined ||
  write.serverChanges.length > 0 ||
  write.outsiders.length > 0 ||
  write.missingPrevEvents.length > 0 ||
  write.foundPrevEvents.length > 0 ||
  write.redactions.length > 0 ||
  write.unappliedRedactions.length > 0 ||
  write.awaitedTargets.length > 0 ||
  write.chainPlaces.length > 0 ||
  write.events.some(({ relation }) => relation !== undefined);

/** `streamPos` of live rows has been filled in. */
export const writeExtras = async (tx: Tx, writes: readonly RoomWrite[]): Promise<void> => {
  await writeRoomsAndGaps(tx, writes);
  await writeServers(tx, writes);
  await writeOutsiders(tx, writes);
  await writeUnappliedRedactions(tx, writes);
  await writeChains(tx, writes);
  await writeRelations(tx, writes);
};
