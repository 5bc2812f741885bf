/**
 * The registry behind `/metrics`, in the Prometheus text format. Whoever counts something declares
 * its metric with `registers: [registry]`; there is no global registry.
 */
import { collectDefaultMetrics, Registry } from 'prom-client';

export type { Registry } from 'prom-client';

/**
 * `processMetrics` adds memory, event-loop lag, garbage collection and the like. `process` is a label
 * of everything, where there are several.
 */
export const createMetricsRegistry = (options: {
  processMetrics: boolean;
  process?: string | undefined;
}): Registry => {
  const registry = new Registry();
  if (options.process !== undefined) registry.setDefaultLabels({ process: options.process });
  if (options.processMetrics) collectDefaultMetrics({ register: registry });
  return registry;
};
