/**
 * A Parley and a Synapse that federate over TLS under one test authority, with a network between
 * them that can be cut.
 */

import { Authority } from '../lib/authority.ts';
import { takesAnswersAsTheyAre } from '../lib/http.ts';
import { Network } from '../lib/network.ts';
import { parley } from '../lib/parley.ts';
import { type ClientEvent, type Person, registers } from '../lib/person.ts';
import type { Server } from '../lib/server.ts';
import { findSynapse, synapse } from '../lib/synapse.ts';
import { eventually } from '../lib/wait.ts';

export interface Pair {
  readonly parley: Server;
  readonly synapse: Server;
  readonly network: Network;
  /** Starts a further Synapse, with these settings in place of the usual ones. */
  addsSynapse(settings: object): Promise<Server>;
}

/** Which of the two makes the room. */
export const CREATORS = ['Parley', 'Synapse'] as const;
export type Creator = (typeof CREATORS)[number];

export const VERSIONS = ['10', '11', '12'] as const;

/**
 * The tests of a file, against a pair started for it; where Synapse is not installed they are
 * skipped, and it is said why.
 */
export function besideSynapse(tests: (pair: () => Pair) => void): void {
  const found = findSynapse();
  if ('missing' in found) {
    process.stderr.write(`Synapse tests are skipped: ${found.missing}\n`);
    describe.skip(`beside Synapse (skipped: ${found.missing})`, () => tests(() => never()));
    return;
  }
  describe(`beside Synapse ${found.version}`, () => {
    const network = new Network(new Authority());
    let pair: Pair;
    const addsSynapse = async (settings: object) => {
      // Another host, so that a room can let in one and not the other.
      const server = await network.adds(synapse(found.python, settings), '127.0.0.1');
      takesAnswersAsTheyAre(server.clientUrl);
      return server;
    };
    beforeAll(async () => {
      const [ours, theirs] = await Promise.all([network.adds(parley()), addsSynapse({})]);
      pair = { parley: ours, synapse: theirs, network, addsSynapse };
    }, 90_000);
    afterAll(() => network.close());
    tests(() => pair);
  });
}

function never(): never {
  throw new Error('skipped tests do not run');
}

/** The server that makes the room first, the other one second. */
export function inOrder(
  { parley: ours, synapse: theirs }: Pair,
  creator: Creator,
): [Server, Server] {
  return creator === 'Parley' ? [ours, theirs] : [theirs, ours];
}

let registered = 0;

/** New people, one for each name, on the server given. */
export async function newcomers<const Names extends readonly string[]>(
  server: Server,
  ...names: Names
): Promise<{ [I in keyof Names]: Person }> {
  const people = names.map((name) => registers(server, `${name}-${++registered}`));
  return (await Promise.all(people)) as { [I in keyof Names]: Person };
}

/** The current state of a room as its servers have to agree on it, sorted. */
export async function agreedState(person: Person, room: string): Promise<string[]> {
  const state = await person.state(room);
  return state.map((e) => `${e.type} | ${e.state_key} | ${e.event_id}`).sort();
}

/** Waits until both see the same state, entry by entry; gives it. */
export async function agree(a: Person, b: Person, room: string): Promise<string[]> {
  let last: [string[], string[]] = [[], []];
  try {
    return await eventually('the same state', async () => {
      last = await Promise.all([agreedState(a, room), agreedState(b, room)]);
      return last[0].join('\n') === last[1].join('\n') ? last[0] : undefined;
    });
  } catch (error) {
    const only = (mine: string[], other: string[]) =>
      mine.filter((entry) => !other.includes(entry));
    throw new Error(
      `${a.id} and ${b.id} differ in ${room}:\n${a.id}: ${only(...last).join('\n')}\n${b.id}: ${only(last[1], last[0]).join('\n')}`,
      { cause: error },
    );
  }
}

/** The texts of messages, in order. */
export function texts(events: readonly ClientEvent[]): string[] {
  return events
    .filter(({ type, content }) => type === 'm.room.message' && content.body !== undefined)
    .map(({ content }) => content.body as string);
}

/** Several messages, one after the other; gives their texts. */
export async function talks(person: Person, room: string, topic: string, count: number) {
  const said = Array.from({ length: count }, (_, i) => `${topic} ${i}`);
  for (const text of said) await person.says(room, text);
  return said;
}
