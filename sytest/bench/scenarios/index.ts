/** All scenarios, in the order in which they run: memory is what those before it leave behind. */
import type { Scenario } from '../scenario.ts';
import { coldFirstSync, restart, unread, warmUp } from './cold.ts';
import { crowd } from './crowd.ts';
import { delivery20, delivery200 } from './delivery.ts';
import { fanOut } from './fan-out.ts';
import { forks } from './forks.ts';
import { generator } from './generator.ts';
import { history } from './history.ts';
import { hostile } from './hostile.ts';
import { inboundPdus } from './inbound-pdus.ts';
import { memory } from './memory.ts';
import { remoteJoin, remoteJoinMemory } from './remote-join.ts';
import { createRooms, joins } from './rooms.ts';
import { oneRoom, sends } from './sends.ts';
import { sequential } from './sequential.ts';
import { stateResolution } from './state-resolution.ts';
import { stored } from './stored.ts';
import { emptySync, firstSync } from './sync.ts';
import { unreadCounts } from './unread-counts.ts';

export const scenarios: readonly Scenario[] = [
  generator,
  sends,
  oneRoom,
  sequential,
  createRooms,
  joins,
  delivery20,
  delivery200,
  firstSync,
  emptySync,
  memory,
  inboundPdus,
  fanOut,
  stateResolution,
  remoteJoin,
  remoteJoinMemory,
  crowd,
  history,
  forks,
  stored,
  hostile,
  // The server is restarted by these.
  coldFirstSync,
  unread,
  unreadCounts,
  restart,
  warmUp,
];
