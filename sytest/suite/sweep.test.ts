/** Every operation of the specification is asked for; see `sytest/sweep/sweep.ts`. */

import { Peer } from '../lib/peer/peer.ts';
import { alpha, authority } from '../lib/world.ts';
import { readServedList, type SweepResult, sweep } from '../sweep/sweep.ts';

let peer: Peer;
let result: SweepResult;

beforeAll(async () => {
  peer = await Peer.start(authority);
  result = await sweep({ server: alpha, peer });
  process.stdout.write(`${result.summary}\n`);
}, 120_000);
afterAll(() => peer.stop());

it('serves every operation it has ever served', () => {
  const listed = readServedList();
  expect(result.notServed.filter((name) => listed.has(name))).toEqual([]);
});

it('refuses missing tokens and wrong methods, and answers in the right shape', () => {
  expect(result.findings).toEqual([]);
});
