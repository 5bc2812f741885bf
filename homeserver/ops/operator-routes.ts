/** The routes for those who run the server: `/health/live`, `/health/ready`, `/metrics`. */
import type { Registry } from 'prom-client';
import { exempt } from '../http/rate-limits.ts';
import { rawReply, reply } from '../http/reply.ts';
import { type Route, route } from '../http/route.ts';
import { checkReadiness, type HealthSources } from './health.ts';

/** 200 as long as the process answers at all; ready is 503 while it should get no requests. */
export const healthRoutes = (sources: HealthSources): Route[] => [
  route({
    operationId: 'healthLive',
    method: 'GET',
    path: '/health/live',
    rateLimit: exempt("asked by the operator's own monitoring"),
    handler: () => ({ status: 'ok' }),
  }),
  route({
    operationId: 'healthReady',
    method: 'GET',
    path: '/health/ready',
    rateLimit: exempt("asked by the operator's own monitoring"),
    handler: async () => {
      const { ready, parts } = await checkReadiness(sources);
      return reply({ status: ready ? 200 : 503, body: { status: ready ? 'ok' : 'no', ...parts } });
    },
  }),
];

/** `text` tells of more than this registry, where there are several processes. */
export const metricsRoute = (
  registry: Registry,
  text: () => Promise<string> = () => registry.metrics(),
): Route =>
  route({
    operationId: 'metrics',
    method: 'GET',
    path: '/metrics',
    rateLimit: exempt("asked by the operator's own monitoring"),
    handler: async () =>
      rawReply({
        headers: { 'Content-Type': registry.contentType },
        body: await text(),
      }),
  });
