/**
 * EDUs by kind. Each kind has at most one handler. What no handler knows is dropped, and what makes
 * one fail as well, unless it is the database that failed: then nothing was promised and all of it is
 * to come again.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#edus
 */
import type { Logger } from 'pino';
import { isDatabaseAway } from '../../homeserver/storage/database-away.ts';
import { LogWriteFailed } from '../../homeserver/streams/log.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { ServerName } from '../../spec/identifiers.ts';

export interface Edu {
  readonly edu_type: string;
  readonly content: JsonObject;
}

/** The handler checks that the origin may say what the EDU says. */
export type EduHandler = (origin: ServerName, content: JsonObject) => Promise<void> | void;

export class EduDispatcher {
  readonly #logger: Logger;
  readonly #handlers = new Map<string, EduHandler>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** For typing, receipts, presence, to-device messages, device lists: `m.typing` and so on. */
  on(type: string, handler: EduHandler): void {
    if (this.#handlers.has(type)) throw new Error(`${type} has a handler already`);
    this.#handlers.set(type, handler);
  }

  /**
   * In the order given: a later EDU may overtake what an earlier one said. Those of a kind that stays
   * are durable when it resolves.
   * @throws what the database failed with, after all EDUs have been tried
   */
  async dispatch(origin: ServerName, edus: readonly Edu[]): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    for (const { edu_type: type, content } of edus) {
      const handler = this.#handlers.get(type);
      if (handler === undefined) continue;
      try {
        await handler(origin, content);
      } catch (error) {
        this.#logger.warn({ err: error, origin, type }, 'EDU could not be handled');
        if (error instanceof LogWriteFailed || isDatabaseAway(error)) failure ??= { error };
      }
    }
    if (failure !== undefined) throw failure.error;
  }
}
