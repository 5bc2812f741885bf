/** What is counted about what other servers send. */
import { Counter, Gauge, type Registry } from 'prom-client';

/**
 * `kept`: taken in (though perhaps not shown to anyone). `waiting`: put into its room's queue.
 * `dropped`: malformed, wrongly signed, denied by the room, or of a room this server is not in.
 */
export type PduOutcome = 'kept' | 'waiting' | 'dropped';

export interface InboundMetrics {
  received(outcome: PduOutcome, count: number): void;
  edus(count: number): void;
  /** Asked when the metrics are read. */
  watchQueue(queue: { readonly waitingRooms: number; readonly waitingEvents: number }): void;
}

export const noInboundMetrics: InboundMetrics = {
  received: () => undefined,
  edus: () => undefined,
  watchQueue: () => undefined,
};

export const inboundMetrics = (registry: Registry): InboundMetrics => {
  const pdus = new Counter({
    name: 'parley_federation_received_pdus_total',
    help: 'Events in the transactions of other servers, by what became of them.',
    labelNames: ['outcome'],
    registers: [registry],
  });
  const edus = new Counter({
    name: 'parley_federation_received_edus_total',
    help: 'EDUs in the transactions of other servers.',
    registers: [registry],
  });
  return {
    received: (outcome, count) => pdus.inc({ outcome }, count),
    edus: (count) => edus.inc(count),
    watchQueue: (queue) => {
      new Gauge({
        name: 'parley_federation_waiting_rooms',
        help: 'Rooms with events that wait for what they refer to.',
        registers: [registry],
        collect() {
          this.set(queue.waitingRooms);
        },
      });
      new Gauge({
        name: 'parley_federation_waiting_events',
        help: 'Events of other servers that wait in their room’s queue.',
        registers: [registry],
        collect() {
          this.set(queue.waitingEvents);
        },
      });
    },
  };
};
