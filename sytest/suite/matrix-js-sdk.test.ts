/**
 * Two people with a real client, from the first start of a server to its restart: what the README
 * promises. The server runs with the limits everybody gets.
 */

import { EventType, type MatrixEvent, Method, Preset, RoomMemberEvent } from 'matrix-js-sdk';
import { parleyCommand, printedRegistrationToken } from '../lib/command-line.ts';
import { parley } from '../lib/parley.ts';
import { SdkPerson } from '../lib/sdk-person.ts';
import { Server } from '../lib/server.ts';
import { authority } from '../lib/world.ts';

const PASSWORD = 'correct horse battery staple';
const HISTORY = 45;

let server: Server;
let alice: SdkPerson;
let bob: SdkPerson;
/** Bob is invited here. */
let privateRoom: string;
let publicRoom: string;
let firstToken: string;
const opened: SdkPerson[] = [];

const opens = async (person: SdkPerson): Promise<SdkPerson> => {
  opened.push(person);
  return person.opens();
};

const numbered = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `line ${i + 1}`);

beforeAll(async () => {
  const recipe = parley({
    registration: { require_token: true, shared_secret: null },
    rate_limits: { enabled: true },
  });
  server = await Server.create(recipe, authority);
  await server.start();
});

afterAll(async () => {
  for (const person of opened) person.closes();
  await server.destroy();
});

describe('two people with matrix-js-sdk', () => {
  it('register: the first with the token the server printed, who is an administrator', async () => {
    firstToken = await printedRegistrationToken(server);
    alice = await opens(await SdkPerson.registers(server, 'alice', PASSWORD, firstToken));
    expect(alice.id).toBe(`@alice:${server.name}`);

    // The printed token is for one account; the operator makes the next.
    await expect(SdkPerson.registers(server, 'mallory', PASSWORD, firstToken)).rejects.toThrow(
      /401|M_UNAUTHORIZED/,
    );
    const token = await parleyCommand(server, 'registration-token');
    bob = await opens(await SdkPerson.registers(server, 'bob', PASSWORD, token));

    const whois = (asker: SdkPerson, about: SdkPerson) =>
      asker.client.http.authedRequest<{ user_id: string }>(
        Method.Get,
        `/admin/whois/${encodeURIComponent(about.id)}`,
      );
    expect((await whois(alice, bob)).user_id).toBe(bob.id);
    await expect(whois(bob, alice)).rejects.toMatchObject({ errcode: 'M_FORBIDDEN' });
  });

  it('meet in a room by invitation', async () => {
    privateRoom = (
      await alice.client.createRoom({
        preset: Preset.PrivateChat,
        name: 'Kitchen',
        invite: [bob.id],
      })
    ).room_id;
    const invitation = await bob.sees('an invitation', () => bob.client.getRoom(privateRoom));
    expect(invitation.getMyMembership()).toBe('invite');
    expect(invitation.name).toBe('Kitchen');
    await bob.client.joinRoom(privateRoom);
    await bob.sees('himself inside', () => bob.room(privateRoom).getMyMembership() === 'join');
    await alice.sees(
      'bob inside',
      () => alice.room(privateRoom).getMember(bob.id)?.membership === 'join',
    );
  });

  it('meet in a public room by its alias', async () => {
    publicRoom = (
      await alice.client.createRoom({ preset: Preset.PublicChat, room_alias_name: 'square' })
    ).room_id;
    const joined = await bob.client.joinRoom(`#square:${server.name}`);
    expect(joined.roomId).toBe(publicRoom);
    await alice.sees(
      'bob inside',
      () => alice.room(publicRoom).getMember(bob.id)?.membership === 'join',
    );
    const members = bob.room(publicRoom).getJoinedMembers();
    expect(members.map(({ userId }) => userId).sort()).toEqual([alice.id, bob.id].sort());
  });

  it('talk both ways by long poll', async () => {
    const question = await alice.says(privateRoom, 'is anybody there?');
    expect((await bob.seesText(privateRoom, 'is anybody there?')).getId()).toBe(question);
    const answer = await bob.says(privateRoom, 'always');
    expect((await alice.seesText(privateRoom, 'always')).getId()).toBe(answer);
    expect(alice.texts(privateRoom)).toEqual(['is anybody there?', 'always']);
    await bob.sees('her line once', () => bob.texts(privateRoom).length === 2);
  });

  it('see each other type and read', async () => {
    const typing: string[] = [];
    alice.client.on(RoomMemberEvent.Typing, (_, member) => {
      if (member.typing) typing.push(member.userId);
    });
    await bob.client.sendTyping(privateRoom, true, 20_000);
    await alice.sees('bob type', () => typing.includes(bob.id));
    await bob.client.sendTyping(privateRoom, false, 0);
    await alice.sees('bob stop', () => alice.room(privateRoom).getMember(bob.id)?.typing === false);

    const eventId = await alice.says(privateRoom, 'have you read this?');
    const event = await bob.seesText(privateRoom, 'have you read this?');
    await bob.client.sendReadReceipt(event);
    await alice.sees(
      "bob's receipt",
      () => alice.room(privateRoom).getEventReadUpTo(bob.id) === eventId,
    );
  });

  it('take a message back', async () => {
    const eventId = await alice.says(privateRoom, 'a secret');
    await bob.seesText(privateRoom, 'a secret');
    await alice.client.redactEvent(privateRoom, eventId, undefined, { reason: 'oops' });
    const shown = await bob.sees('it gone', () =>
      bob.timeline(privateRoom).find((event) => event.getId() === eventId && event.isRedacted()),
    );
    expect(shown.getContent()).toEqual({});
    const stored = await bob.client.fetchRoomEvent(privateRoom, eventId);
    expect(stored.content).toEqual({});
  });

  it('page back through history, on a client that just logged in', async () => {
    for (const line of numbered(HISTORY)) await alice.says(publicRoom, line);
    const phone = await opens(await SdkPerson.logsIn(server, 'bob', PASSWORD));
    expect(phone.texts(publicRoom)).toEqual(numbered(HISTORY).slice(-10));
    expect(await phone.scrollsToTheBeginning(publicRoom, 10)).toBeGreaterThanOrEqual(4);
    expect(phone.texts(publicRoom)).toEqual(numbered(HISTORY));
    expect(phone.timeline(publicRoom)[0]?.getType()).toBe(EventType.RoomCreate);
    phone.closes();
  });

  it('go on after a restart, and nothing is lost', async () => {
    await alice.says(privateRoom, 'before the restart');
    await bob.seesText(privateRoom, 'before the restart');
    const ids = (events: MatrixEvent[]) => events.map((event) => event.getId());

    await server.restart();

    // Nobody reloads anything: both clients find back by themselves.
    await alice.says(privateRoom, 'after the restart');
    await bob.seesText(privateRoom, 'after the restart');
    await bob.says(privateRoom, 'welcome back');
    await alice.seesText(privateRoom, 'welcome back');

    const reloaded = await opens(await SdkPerson.logsIn(server, 'alice', PASSWORD));
    for (const roomId of [privateRoom, publicRoom]) {
      await reloaded.scrollsToTheBeginning(roomId, 50);
      await alice.scrollsToTheBeginning(roomId, 50);
      await alice.sees('everything', () => {
        const shown = ids(alice.timeline(roomId));
        return shown.length === reloaded.timeline(roomId).length;
      });
      expect(ids(reloaded.timeline(roomId))).toEqual(ids(alice.timeline(roomId)));
    }
    expect(reloaded.texts(publicRoom)).toEqual(numbered(HISTORY));
    expect(reloaded.texts(privateRoom)).toEqual([
      'is anybody there?',
      'always',
      'have you read this?',
      'before the restart',
      'after the restart',
      'welcome back',
    ]);
    // The token for the first account is spent for good.
    await expect(SdkPerson.registers(server, 'mallory', PASSWORD, firstToken)).rejects.toThrow(
      /401|M_UNAUTHORIZED/,
    );
  });
});
