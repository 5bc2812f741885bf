/**
 * What a live Synapse really sends where a format leaves room: numbers as Python writes them, long
 * key ids, profiles and devices of any JSON, invites with much state. Whatever is taken of it, what is
 * sent afterwards has to arrive. Runs where Synapse is installed; see `findSynapse`.
 * https://spec.matrix.org/v1.19/appendices/#canonical-json
 */

import type { Body } from '../lib/http.ts';
import { type Person, segment } from '../lib/person.ts';
import type { Server } from '../lib/server.ts';
import { eventually } from '../lib/wait.ts';
import { agree, besideSynapse, CREATORS, inOrder, newcomers } from './beside-synapse.ts';

/** As clients write them, and what a Python makes of them is not always the same text. */
const NUMBERS = [
  '1.0',
  '1e-7',
  '-0',
  '-0.0',
  '1e22',
  '9223372036854775808',
  '-9223372036854775809',
];

/** Without integers that a Synapse cannot process in events, of its own people neither. */
const EVENT_NUMBERS = [
  ...['0.5', '1.0', '1e-7', '0.00001', '-0', '-0.0', '1e15', '1e16', '1e20', '1e22'],
  ...['9007199254740993', '9223372036854775807'],
];

/** Before room version 6 any JSON number may be in an event. */
const LENIENT_VERSIONS = ['1', '2', '3', '4', '5'];

let transactions = 0;

besideSynapse((pair) => {
  /** Nothing that was signed has been refused as if it were not, since the mark. */
  let mark = 0;
  beforeEach(() => {
    mark = pair().network.crossings.length;
  });
  afterEach(() => {
    const crossings = pair().network.crossings.slice(mark);
    expect(crossings.filter(({ status }) => status === 401)).toEqual([]);
    const sends = crossings.filter(({ path }) => path.startsWith('/_matrix/federation/v1/send/'));
    expect(sends.filter(({ status }) => status >= 400)).toEqual([]);
  });

  /** Someone of the first server and someone of the second, in a room of the first. */
  const meet = async (home: Server, away: Server, version = '12') => {
    const [[host], [guest]] = await Promise.all([
      newcomers(home, 'host'),
      newcomers(away, 'guest'),
    ]);
    const room = await host.createsRoom({ preset: 'public_chat', version });
    await guest.joins(room, home);
    await Promise.all([host.syncs(), guest.syncs()]);
    await host.seesMembership(room, guest, 'join');
    return { host, guest, room };
  };

  const bothHear = async (a: Person, b: Person, room: string) => {
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      await other.sees(room, await one.says(room, 'and still we speak'));
    }
  };

  const sendsToDevice = (from: Person, to: Person, json: string) => {
    const path = `/sendToDevice/org.example.numbers/${++transactions}`;
    const rawBody = `{"messages":{"${to.id}":{"${to.deviceId}":${json}}}}`;
    return from.asks('PUT', path, { rawBody });
  };

  const toDevice = (person: Person) =>
    person.waitsFor('a message to the device', (body) =>
      body.to_device?.events.find(({ type }: Body) => type === 'org.example.numbers'),
    );

  describe('messages to devices', () => {
    it.each(NUMBERS)('of Synapse with %s arrive, and what is said after them', async (number) => {
      const { host, guest, room } = await meet(pair().synapse, pair().parley);
      expect((await sendsToDevice(host, guest, `{"n":${number}}`)).status).toBe(200);
      expect((await toDevice(guest)).content.n).toBe(Number(number) + 0);
      await bothHear(host, guest, room);
    });

    it.each(NUMBERS)('of ours with %s hold up nothing', async (number) => {
      const { host, guest, room } = await meet(pair().parley, pair().synapse);
      const answer = await sendsToDevice(host, guest, `{"n":${number}}`);
      if (answer.status === 200) {
        expect((await toDevice(guest)).content.n).toBe(Number(number) + 0);
      } else {
        expect([answer.status, answer.body.errcode]).toEqual([400, 'M_BAD_JSON']);
      }
      await bothHear(host, guest, room);
    });
  });

  describe.each(LENIENT_VERSIONS)('in a room of version %s', (version) => {
    const json = `{"numbers":[${EVENT_NUMBERS}]}`;
    const numbers = EVENT_NUMBERS.map((number) => Number(number) + 0);
    const rawPut = async (person: Person, path: string, rawBody: string) =>
      (await person.calls('PUT', path, { rawBody })).event_id as string;
    const sends = (person: Person, room: string, body: string) =>
      rawPut(person, `/rooms/${segment(room)}/send/org.example.numbers/${++transactions}`, body);

    it('of Synapse numbers arrive whole: in state, in history and when they are sent', async () => {
      const [[host], [guest]] = await Promise.all([
        newcomers(pair().synapse, 'host'),
        newcomers(pair().parley, 'guest'),
      ]);
      const room = await host.createsRoom({ preset: 'public_chat', version });
      await rawPut(host, `/rooms/${segment(room)}/state/org.example.numbers/`, json);
      const before = await sends(host, room, json);
      for (let i = 0; i < 25; i++) await host.says(room, `after ${i}`);
      await guest.joins(room, pair().synapse);
      expect(await guest.reads(room, 'org.example.numbers')).toEqual({ numbers });
      const history = await guest.history(room);
      expect(history.find(({ event_id }) => event_id === before)?.content).toEqual({ numbers });
      expect((await guest.sees(room, await sends(host, room, json))).content).toEqual({ numbers });
      await agree(host, guest, room);
      await bothHear(host, guest, room);
    });

    it.each(CREATORS)('of %s ours arrive there, or are refused', async (creator) => {
      const [home, away] = inOrder(pair(), creator);
      const { host, guest, room } = await meet(home, away, version);
      const [ours, theirs] = creator === 'Parley' ? [host, guest] : [guest, host];
      for (const number of EVENT_NUMBERS) {
        const path = `/rooms/${segment(room)}/send/org.example.numbers/${++transactions}`;
        const answer = await ours.asks('PUT', path, { rawBody: `{"n":${number}}` });
        if (answer.status === 200) {
          const seen = await theirs.sees(room, answer.body.event_id);
          expect(seen.content).toEqual({ n: Number(number) + 0 });
        } else {
          expect([answer.status, answer.body.errcode]).toEqual([400, 'M_BAD_JSON']);
        }
      }
      await bothHear(host, guest, room);
      await agree(host, guest, room);
    });
  });

  it('a server whose key has a long id is spoken with, both ways', async () => {
    const id = 'a_key_of_2026_'.repeat(8);
    const seed = Buffer.alloc(32, 7).toString('base64').replace(/=+$/, '');
    const signing_key = `ed25519 ${id} ${seed}`;
    const longwinded = await pair().addsSynapse({ signing_key });
    try {
      for (const [home, away] of [
        [longwinded, pair().parley],
        [pair().parley, longwinded],
      ] as const) {
        const { host, guest, room } = await meet(home, away);
        await bothHear(host, guest, room);
        await agree(host, guest, room);
      }
    } finally {
      await longwinded.stop();
    }
  });

  describe.each(CREATORS)('what a person of %s tells beside messages', (creator) => {
    const odd =
      '{"deep":[[[{"":null}]]],"n":[1.5,1e-7,12345678901234567890],"é💣":"\\u2028\\ud83d\\ude00"}';
    let host: Person;
    let guest: Person;
    let room: string;
    beforeEach(async () => {
      ({ host, guest, room } = await meet(...inOrder(pair(), creator)));
    });
    /** What is not taken is refused to the client, not to the other server. */
    const tries = async (method: string, path: string, rawBody: string) => {
      const answer = await host.asks(method, path, { rawBody });
      if (answer.status !== 200) expect([400, 413]).toContain(answer.status);
      return answer.status === 200;
    };

    it('of devices cuts nothing', async () => {
      const path = `/devices/${segment(host.deviceId)}`;
      for (const name of ['', '\\u0001 📱 \\u2028', 'é'.repeat(100), 'x'.repeat(5_000)]) {
        await tries('PUT', path, `{"display_name":"${name}"}`);
      }
      const device = `"user_id":"${host.id}","device_id":"${host.deviceId}"`;
      const keys = `"algorithms":[],"keys":{"ed25519:${host.deviceId}":"x"},"signatures":{}`;
      const uploaded = await tries(
        'POST',
        '/keys/upload',
        `{"device_keys":{${device},${keys},"org.example.odd":${odd}}}`,
      );
      await bothHear(host, guest, room);
      const body = { device_keys: { [host.id]: [] } };
      const query = () => guest.calls('POST', '/keys/query', { body });
      if (uploaded) {
        await eventually('the device is known', async () => (await query()).device_keys[host.id]);
      }
      await bothHear(host, guest, room);
    });

    it('of profiles cuts nothing', async () => {
      const profile = `/profile/${segment(host.id)}`;
      await tries('PUT', `${profile}/displayname`, '{"displayname":"\\u0001 🎉 “x” \\u2028"}');
      await tries('PUT', `${profile}/org.example.odd`, `{"org.example.odd":${odd}}`);
      await tries('PUT', `${profile}/m.tz`, '{"m.tz":"Nowhere/At All"}');
      const seen = await guest.calls('GET', profile);
      const own = await host.calls('GET', profile);
      expect(seen).toEqual(own);
      await bothHear(host, guest, room);
    });

    it('of presence cuts nothing', async () => {
      const path = `/presence/${segment(host.id)}/status`;
      for (const text of ['\\u0001 \\u2028 🎉', 'é'.repeat(3_000), '']) {
        await tries('PUT', path, `{"presence":"online","status_msg":"${text}"}`);
      }
      await tries('PUT', path, '{"presence":"unavailable","status_msg":"away, for now"}');
      await guest.waitsFor('the host away', (body) =>
        body.presence?.events?.find(
          ({ sender, content }: Body) =>
            sender === host.id && content.status_msg === 'away, for now',
        ),
      );
      await bothHear(host, guest, room);
    });

    it('of what was read, in threads and out of them, cuts nothing', async () => {
      const root = await guest.says(room, 'a thread');
      const relation = { rel_type: 'm.thread', event_id: root };
      const content = { msgtype: 'm.text', body: 'in it', 'm.relates_to': relation };
      const reply = await guest.sends(room, 'm.room.message', content);
      await host.sees(room, reply);
      const read = (event: string, body: object) =>
        host.calls('POST', `/rooms/${segment(room)}/receipt/m.read/${segment(event)}`, { body });
      const receipts = new Set<string>();
      const hasSeen = (event: string, thread: string | undefined) => {
        const wanted = `${event} ${thread}`;
        return guest.waitsFor(`a receipt for ${wanted}`, (body) => {
          for (const { content } of body.rooms?.join?.[room]?.ephemeral?.events ?? []) {
            for (const [id, kinds] of Object.entries<Body>(content)) {
              const receipt = kinds?.['m.read']?.[host.id];
              if (receipt !== undefined) receipts.add(`${id} ${receipt.thread_id}`);
            }
          }
          return receipts.has(wanted) ? true : undefined;
        });
      };
      await read(root, { thread_id: 'main' });
      await hasSeen(root, 'main');
      await read(reply, { thread_id: root });
      await hasSeen(reply, root);
      await read(reply, {});
      await hasSeen(reply, undefined);
      await bothHear(host, guest, room);
    });
  });

  it.each([
    ['of the usual types', {}],
    [
      'of further types',
      {
        room_prejoin_state: {
          additional_event_types: [
            ['org.example.large', 'key 0'],
            ['org.example.large', 'key 1'],
          ],
        },
      },
    ],
  ])('an invite into a room of large state %s arrives', async (_which, settings) => {
    const inviting = await pair().addsSynapse(settings);
    try {
      const [[host], [guest]] = await Promise.all([
        newcomers(inviting, 'host'),
        newcomers(pair().parley, 'guest'),
      ]);
      const room = await host.createsRoom({ preset: 'private_chat', name: 'The hall' });
      await host.sets(room, 'm.room.topic', { topic: 'é'.repeat(30_000) });
      await host.sets(room, 'm.room.avatar', { url: `mxc://x/${'y'.repeat(50_000)}` });
      const odd = { displayname: 'Host', membership: 'join', more: 'x'.repeat(50_000) };
      await host.sets(room, 'm.room.member', odd, host.id);
      const keys = Array.from({ length: 150 }, (_, i) => `key ${i}`);
      for (const key of keys) {
        await host.sets(room, 'org.example.large', { text: 'x'.repeat(20_000) }, key);
      }
      await host.invites(guest, room);
      const stripped = await guest.seesInvite(room);
      const name = stripped.find(({ type }) => type === 'm.room.name');
      expect(name?.content).toEqual({ name: 'The hall' });
      await guest.joins(room);
      await host.syncs();
      await agree(host, guest, room);
      await bothHear(host, guest, room);
    } finally {
      await inviting.stop();
    }
  });
});
