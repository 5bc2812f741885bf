/**
 * The servers every test file shares: alpha, beta and gamma, federating over TLS
 * under one test authority. They are started once, before the first test file
 * (`world-setup.ts`); each file registers people of its own, so files never meet.
 */

import { Authority } from './authority.ts';
import { type Person, registers } from './person.ts';
import type { ServerAddress } from './server.ts';
import { type SharedWorld, WORLD_VARIABLE } from './world-shape.ts';

function sharedWorld(): SharedWorld {
  const text = process.env[WORLD_VARIABLE];
  if (text === undefined)
    throw new Error('no shared servers: run the suite by `npm test -- sytest/suite`');
  return JSON.parse(text) as SharedWorld;
}

const world = sharedWorld();

export const { alpha, beta, gamma } = world.servers;

/** Issues certificates that the shared servers trust. */
export const authority = new Authority(world.authority);

/** Registers a new person on a server; `name` is made unique, so that files never collide. */
export async function someone(name: string, server: ServerAddress = alpha): Promise<Person> {
  return registers(server, `${name}-${Math.random().toString(36).slice(2, 10)}`);
}
