import type { PresenceListener } from '../../homeserver/streams/presence.ts';
import type { ServerName, UserId } from '../../spec/identifiers.ts';
import { sendLocalEdus } from './local-edus.ts';

const servers = (room: number): Set<ServerName> =>
  new Set(Array.from({ length: 200 }, (_, n) => `s${(room * 50 + n) % 1_000}.test` as ServerName));

/** Everyone is in forty rooms of two hundred servers each. */
const people = () => {
  let tell: PresenceListener = () => undefined;
  const told: { destinations: number; text: string }[] = [];
  const rooms = new Map(
    Array.from({ length: 40 }, (_, nid) => [nid, { committedServers: servers(nid) }]),
  );
  sendLocalEdus({
    sender: {
      sendEphemeral: (destinations, { canonicalJson }) => {
        told.push({ destinations: [...destinations].length, text: canonicalJson });
      },
    },
    registry: { cached: (nid: number) => rooms.get(nid) } as never,
    clock: { nowMs: () => 1_000 },
    typing: { onLocalChange: () => undefined },
    receipts: { onLocalReceipt: () => undefined },
    presence: {
      onLocalChange: (listener) => {
        tell = listener;
      },
    },
  });
  const news = (name: string, server?: ServerName) =>
    tell({
      user: {
        userId: `@${name}:here.test` as UserId,
        presence: 'online',
        statusMsg: undefined,
        lastActiveMs: 900,
      },
      roomNids: rooms.keys(),
      ...(server !== undefined && { server }),
    });
  return { news, told };
};

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

it('tells of many people at once in turns, each to all of their servers', async () => {
  const { news, told } = people();
  for (let person = 0; person < 500; person += 1) news(`p${person}`);
  expect(told).toEqual([]);
  let before = 0;
  let most = 0;
  while (told.length < 500) {
    await turn();
    most = Math.max(most, told.length - before);
    before = told.length;
  }
  expect(most).toBeLessThan(250);
  expect(told.every(({ destinations }) => destinations === 1_000)).toBe(true);
  expect(told.map(({ text }) => /@p(\d+):/.exec(text)?.[1])).toEqual(
    Array.from({ length: 500 }, (_, person) => String(person)),
  );
  news('again', 'new.test' as ServerName);
  await turn();
  await turn();
  expect(told.at(-1)).toMatchObject({ destinations: 1 });
});

it('keeps no more news than people', async () => {
  const { news, told } = people();
  for (let person = 0; person < 20_100; person += 1) news(`p${person}`, 'new.test' as ServerName);
  for (let waited = 0; told.length < 20_000 && waited < 10_000; waited += 1) await turn();
  expect(told).toHaveLength(20_000);
});
