import type { Auth } from '../../homeserver/http/route.ts';
import { serve } from '../../homeserver/http/testing/serve.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import { getPublicRooms, queryPublicRooms } from './public-rooms.ts';

it('the list of rooms is for other servers only where the operator shows it to them', async () => {
  const auth: Auth<ServerName> = {
    name: 'signedRequest',
    authenticate: () => 'other.test' as ServerName,
  };
  const list = async () => ({ chunk: [{ room_id: '!a:b' }] });
  for (const [publicRooms, status] of [
    [{ list }, 200],
    [undefined, 403],
  ] as const) {
    const server = await serve([
      getPublicRooms({ auth, publicRooms }),
      queryPublicRooms({ auth, publicRooms }),
    ]);
    const path = '/_matrix/federation/v1/publicRooms';
    const answers = [await server.request('GET', path)];
    answers.push(await server.request('POST', path, { body: {} }));
    expect(answers.map((answer) => answer.status)).toEqual([status, status]);
    await server.stop();
  }
});
