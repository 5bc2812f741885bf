/**
 * The composition root: builds everything in order and closes it in reverse. The only file of
 * `homeserver/` that looks outward.
 */

import { systemClock } from './clock.ts';
import { publicBaseUrl } from './config/derived.ts';
import { httpListeners } from './config/listeners.ts';
import { rateLimitTable } from './config/rate-limits.ts';
import type { Config } from './config/schema.ts';
import { RateLimits } from './http/rate-limits.ts';
import { createHttpServer } from './http/server.ts';
import type { Logger } from './ops/logger.ts';
import { createMetricsRegistry } from './ops/metrics.ts';
import { healthRoutes, metricsRoute } from './ops/operator-routes.ts';
import type { RunningServer } from './ops/running-server.ts';
import { openDatabase } from './storage/open-database.ts';

/** Resolves when every listener answers. Throws a `StartFailure` for what an operator can mend. */
export const startServer = async (config: Config, logger: Logger): Promise<RunningServer> => {
  const opened = await openDatabase(config, logger);
  try {
    const registry = createMetricsRegistry({ processMetrics: true });
    const limits = rateLimitTable(config.rate_limits);
    const draining = new AbortController();
    const sources = { database: opened.database, draining: draining.signal };
    const http = createHttpServer({
      listeners: httpListeners(config),
      resources: {
        client: { routes: [], cors: true },
        federation: { routes: [], cors: false },
        media: { routes: [], cors: true },
        health: { routes: healthRoutes(sources), cors: false },
        metrics: { routes: [metricsRoute(registry)], cors: false },
      },
      logger,
      metrics: registry,
      trustedProxies: config.trusted_proxies,
      maxBodyBytes: config.limits.max_body_bytes,
      ...(limits === undefined ? {} : { rateLimits: new RateLimits(limits, systemClock) }),
    });
    await http.start();
    return {
      baseUrl: publicBaseUrl(config, http.addresses()[0]?.port),
      async stop() {
        draining.abort();
        await http.stop({ graceMs: config.limits.stop_timeout_ms });
        await opened.stop();
      },
    };
  } catch (error) {
    await opened.stop();
    throw error;
  }
};
