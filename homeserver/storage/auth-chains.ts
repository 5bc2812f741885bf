/** Reading the chain cover of a room's auth graph. Writing is the log's: event-section.ts. */
import type { Db } from './database.ts';

export interface ChainPlaceRecord {
  event_nid: number;
  chain_nid: number;
  seq: number;
  /** The first place outside its chain that it links to. */
  to_chain_nid: number | null;
  to_seq: number | null;
}

export interface ChainLinkRecord {
  from_chain_nid: number;
  from_seq: number;
  to_chain_nid: number;
  to_seq: number;
}

export const chainPlaces = async (db: Db, roomNid: number): Promise<ChainPlaceRecord[]> => {
  const { rows } = await db.query<ChainPlaceRecord>({
    name: 'auth-chain-places',
    text: `SELECT event_nid, chain_nid, seq, to_chain_nid, to_seq FROM auth_chain_places
      WHERE room_nid = $1`,
    values: [roomNid],
  });
  return rows;
};

/** The links that are not kept with their places. */
export const chainLinks = async (db: Db, roomNid: number): Promise<ChainLinkRecord[]> => {
  const { rows } = await db.query<ChainLinkRecord>({
    name: 'auth-chain-links',
    text: `SELECT from_chain_nid, from_seq, to_chain_nid, to_seq FROM auth_chain_links
      WHERE room_nid = $1`,
    values: [roomNid],
  });
  return rows;
};
