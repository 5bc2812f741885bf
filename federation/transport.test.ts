import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../homeserver/clock.ts';
import type { Config } from '../homeserver/config/schema.ts';
import { exempt } from '../homeserver/http/rate-limits.ts';
import { route } from '../homeserver/http/route.ts';
import { serve, type TestServer } from '../homeserver/http/testing/serve.ts';
import { silentLogger } from '../homeserver/ops/logger.ts';
import { createMetricsRegistry, type Registry } from '../homeserver/ops/metrics.ts';
import { outboundMetrics } from '../homeserver/outbound/outbound-metrics.ts';
import { createTestAuthority } from '../homeserver/outbound/testing/test-authority.ts';
import { systemRandom } from '../homeserver/random.ts';
import { SigningKeys } from '../homeserver/signing-keys/signing-keys.ts';
import { type TestDatabase, testDatabase } from '../homeserver/testing/test-database.ts';
import type { ServerName } from '../spec/identifiers.ts';
import { ANY_REQUEST } from './testing/any-request.ts';
import { createTransport, type Transport } from './transport.ts';

/** Two of our own servers, each behind TLS of the same authority, that know each other by name. */
describe('two servers', () => {
  const authority = createTestAuthority();
  let folder: string;
  const servers: {
    name: ServerName;
    transport: Transport;
    registry: Registry;
    stop: () => Promise<void>;
  }[] = [];

  const start = async (allowPrivateAddresses = true) => {
    const registry = createMetricsRegistry({ processMetrics: false });
    const stored: TestDatabase = await testDatabase();
    // The port is the server's name, so TLS listens first and hands on to the routes behind it.
    let behind: TestServer | undefined;
    const front: Server = createServer(authority.issue(['127.0.0.1']), async (req, res) => {
      const chunks: Buffer[] = [];
      for await (const chunk of req) chunks.push(chunk as Buffer);
      const answer = await behind?.request(req.method ?? '', req.url ?? '', {
        headers: { authorization: req.headers.authorization ?? '' },
        ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }),
      });
      res.statusCode = answer?.status ?? 502;
      res.end(answer?.text);
    });
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
    const name = `127.0.0.1:${(front.address() as AddressInfo).port}` as ServerName;
    const common = { clock: systemClock, random: systemRandom, logger: silentLogger };
    const signingKeys = await SigningKeys.open({
      ...common,
      path: join(folder, `${servers.length}.key`),
      serverName: name,
    });
    const config: Config['federation'] = {
      enabled: true,
      allowed_servers: null,
      denied_servers: [],
      public_rooms: true,
      trusted_ca_file: join(folder, 'ca.pem'),
      allow_private_addresses: allowPrivateAddresses,
      signing_key_file: null,
      notary_servers: [],
      request_timeout_ms: 3000,
      join_timeout_ms: 3000,
      max_concurrent_requests: 10,
      max_response_bytes: 1_000_000,
      max_retry_delay_ms: 10_000,
    };
    const transport = await createTransport({
      ...common,
      config,
      serverName: name,
      signingKeys,
      database: stored.database,
      implementation: { name: 'Parley', version: '0' },
      metrics: outboundMetrics(registry),
    });
    const whoAmI = route({
      rateLimit: exempt('a test'),
      operationId: 'whoAmI',
      method: 'PUT',
      path: '/_matrix/federation/v1/who',
      auth: transport.auth,
      handler: ({ requester }) => ({ you: requester }),
    });
    behind = await serve([...transport.routes, whoAmI]);
    const stop = async () => {
      await transport.close();
      signingKeys.close();
      front.closeAllConnections();
      await new Promise((resolve) => front.close(resolve));
      await behind?.stop();
      await stored.close();
    };
    const server = { name, transport, registry, stop };
    servers.push(server);
    return server;
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'transport-'));
    await writeFile(join(folder, 'ca.pem'), authority.caPem);
  });
  afterAll(async () => {
    for (const { stop } of servers) await stop();
    await rm(folder, { recursive: true });
  });

  it('know each other, and refuse private addresses unless told otherwise', async () => {
    const [alice, bob, careful] = [await start(), await start(), await start(false)];
    const ask = (from: typeof alice, to: typeof alice) =>
      from.transport.client.request({
        destination: to.name,
        method: 'PUT',
        path: '/_matrix/federation/v1/who',
        body: { hello: 'wörld' },
        ...ANY_REQUEST,
      });
    expect(await ask(alice, bob)).toEqual({ you: alice.name });
    expect(await ask(bob, alice)).toEqual({ you: bob.name });
    await expect(ask(careful, bob)).rejects.toMatchObject({
      name: 'RequestImpossible',
      message: expect.stringContaining('an address we do not connect to'),
    });
    // It cannot fetch the key of a server it may not connect to either.
    await expect(ask(alice, careful)).rejects.toMatchObject({ status: 401 });
    const counted = await careful.registry.metrics();
    expect(counted).toMatch(
      /requests_total\{purpose="federation",outcome="address_refused"\} [2-9]/,
    );
  });
});
