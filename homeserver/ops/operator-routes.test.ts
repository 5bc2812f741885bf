import { createHttpServer, type HttpServer } from '../http/server.ts';
import type { Database } from '../storage/database.ts';
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { silentLogger } from './logger.ts';
import { createMetricsRegistry } from './metrics.ts';
import { healthRoutes, metricsRoute } from './operator-routes.ts';

describe('the routes of operators', () => {
  let test: TestDatabase;
  let database: Database;
  let server: HttpServer;
  let base: string;
  const draining = new AbortController();
  const log = { isOpen: true };
  const cluster = { seekingMs: 0 };

  beforeAll(async () => {
    test = await testDatabase();
    database = test.database;
    server = createHttpServer({
      listeners: [{ port: 0, bind: '127.0.0.1', resources: ['operator'] }],
      resources: {
        operator: {
          cors: false,
          routes: [
            ...healthRoutes({ database, log, cluster, draining: draining.signal }),
            metricsRoute(createMetricsRegistry({ processMetrics: true })),
          ],
        },
      },
      logger: silentLogger,
    });
    await server.start();
    base = `http://127.0.0.1:${server.addresses()[0]?.port}`;
  });
  afterAll(() => server.stop({ graceMs: 0 }));

  const get = async (path: string) => {
    const response = await fetch(base + path);
    return { status: response.status, text: await response.text() };
  };

  it('serves metrics as text', async () => {
    const { status, text } = await get('/metrics');
    expect(status).toBe(200);
    expect(text).toMatch(/^process_resident_memory_bytes \d+/m);
  });

  it('is ready, then stopping, then without its database, and alive all the time', async () => {
    expect(await get('/health/ready')).toMatchObject({ status: 200 });
    log.isOpen = false;
    expect((await get('/health/ready')).text).toContain('"database":"cannot be written"');
    // A leader that is lost is replaced soon.
    cluster.seekingMs = 1_500;
    expect(await get('/health/ready')).toMatchObject({ status: 200 });
    cluster.seekingMs = 2_500;
    expect(await get('/health/ready')).toEqual({
      status: 503,
      text: '{"status":"no","database":"ok","server":"seeks the leader"}',
    });
    cluster.seekingMs = 0;
    log.isOpen = true;
    draining.abort();
    expect(await get('/health/ready')).toEqual({
      status: 503,
      text: '{"status":"no","database":"ok","server":"stopping"}',
    });
    await test.close();
    expect((await get('/health/ready')).text).toContain('"database":"away"');
    expect(await get('/health/live')).toEqual({ status: 200, text: '{"status":"ok"}' });
  });
});
