import type { Auth, Route } from '../../homeserver/http/route.ts';
import { serve } from '../../homeserver/http/testing/serve.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import { getMissingPreviousEvents } from './get-missing-previous-events.ts';
import { queryPublicRooms } from './public-rooms.ts';
import { sendInviteV2 } from './send-invite-v2.ts';
import { sendJoinV1 } from './send-join-v1.ts';
import { sendJoinV2 } from './send-join-v2.ts';
import { sendKnock } from './send-knock.ts';
import { sendLeaveV1 } from './send-leave-v1.ts';
import { sendLeaveV2 } from './send-leave-v2.ts';

/** Refuses everybody, once the body was read. */
const auth: Auth<ServerName> = {
  name: 'signedRequest',
  authenticate: async (request) => {
    await request.body();
    return 'remote.example' as ServerName;
  },
};
// Nothing that is too large comes as far as what a route is built on.
// biome-ignore lint/suspicious/noExplicitAny: stands for any route's needs.
const deps = { auth } as any;

const EVENT = 65_536;
const NEAR_DEFAULT = 900_000;
const ROOM = encodeURIComponent('!room:here.example');

const answerTo = async (route: Route, path: string, body: string): Promise<number> => {
  const server = await serve([route]);
  try {
    return (await server.request(route.method, path, { body })).status;
  } finally {
    await server.stop();
  }
};
const text = (bytes: number) => `{"x":"${'x'.repeat(bytes)}"}`;
const values = (count: number) => `{"x":[${'1,'.repeat(count - 3)}1]}`;

describe('the body of', () => {
  it.each([
    ['send_join, v1', sendJoinV1, `v1/send_join/${ROOM}/x`],
    ['send_join, v2', sendJoinV2, `v2/send_join/${ROOM}/x`],
    ['send_leave, v1', sendLeaveV1, `v1/send_leave/${ROOM}/x`],
    ['send_leave, v2', sendLeaveV2, `v2/send_leave/${ROOM}/x`],
    ['send_knock', sendKnock, `v1/send_knock/${ROOM}/x`],
  ])('%s is one event', async (_, make, path) => {
    const route = make(deps);
    const at = `/_matrix/federation/${path}`;
    expect(await answerTo(route, at, text(NEAR_DEFAULT))).toBe(413);
    expect(await answerTo(route, at, values(EVENT / 2 + 1_000))).toBe(413);
    // An event as large as any may be, each character written as an escape, is read.
    expect(await answerTo(route, at, text(3 * EVENT))).not.toBe(413);
    expect(await answerTo(route, at, values(EVENT / 2 - 100))).not.toBe(413);
  });

  it('an invite holds no more values than an event and the state it tells can', async () => {
    const at = `/_matrix/federation/v2/invite/${ROOM}/x`;
    expect(await answerTo(sendInviteV2(deps), at, values(90_000))).toBe(413);
    expect(await answerTo(sendInviteV2(deps), at, text(NEAR_DEFAULT))).not.toBe(413);
  });

  it('a question is as long as what may be asked', async () => {
    const missing = `/_matrix/federation/v1/get_missing_events/${ROOM}`;
    expect(await answerTo(getMissingPreviousEvents(deps), missing, text(70_000))).toBe(413);
    expect(await answerTo(getMissingPreviousEvents(deps), missing, text(51_000))).not.toBe(413);
    const rooms = '/_matrix/federation/v1/publicRooms';
    expect(await answerTo(queryPublicRooms(deps), rooms, text(70_000))).toBe(413);
  });
});
