/** Events that come again before they are durable: the second answer is as final as the first. */
import { holdRoom, logWaits } from '../homeserver/testing/log-trouble.ts';
import type { RoomId } from '../spec/identifiers.ts';
import type { Guest, MadeEvent } from './testing/guest.ts';
import { inGuestScene } from './testing/guest-scene.ts';
import type { NetworkServer } from './testing/test-network.ts';

let here: NetworkServer;
let roomId: RoomId;
let guest: Guest;
inGuestScene((scene) => {
  ({ here, roomId, guest } = scene);
});

const roomNid = async () => (await here.core.registry.find(roomId))?.nid as number;
const isStored = async ({ id }: MadeEvent): Promise<boolean> => {
  const text = 'SELECT 1 FROM events WHERE event_id = $1 AND stream_pos IS NOT NULL';
  return (await here.core.database.query({ text, values: [id] })).rowCount > 0;
};
const cutLog = () =>
  here.core.database.query({
    text: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name LIKE 'parley log%'`,
  });

/** A signed question, which takes the server about as long as a look at an event that is known. */
const anotherQuestion = () =>
  guest.peer.ask(here.name, 'GET', `/_matrix/federation/v1/event/$${'x'.repeat(43)}`);

it('are not acknowledged when the write of the first fails', async () => {
  const release = await holdRoom(here.core, await roomNid());
  const message = guest.message('twice');
  const first = guest.send([message]);
  await logWaits(here.core);
  const second = guest.send([message]);
  // Requests that come behind it are answered: it has been looked at.
  for (let round = 0; round < 3; round += 1) await anotherQuestion();
  await cutLog();
  const answers = await Promise.all([first, second]);
  await release();
  const stored = await isStored(message);
  expect({ stored, statuses: answers.map(({ status }) => status === 200) }).toEqual({
    stored: false,
    statuses: [false, false],
  });
  expect((await guest.send([message])).body.pdus).toEqual({ [message.id]: {} });
  expect(await isStored(message)).toBe(true);
});

it('are acknowledged together when it is there', async () => {
  const release = await holdRoom(here.core, await roomNid());
  const message = guest.message('twice');
  const first = guest.send([message]);
  await logWaits(here.core);
  const second = guest.send([message]);
  await release();
  for (const { body } of await Promise.all([first, second])) {
    expect(body.pdus).toEqual({ [message.id]: {} });
  }
  expect(await isStored(message)).toBe(true);
});
