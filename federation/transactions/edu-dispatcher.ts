/**
 * EDUs by kind. Each kind has at most one handler; what no handler knows, or what makes one fail, is
 * dropped: an EDU is never worth an error.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#edus
 */
import type { Logger } from 'pino';
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

  /** In the order given: a later EDU may overtake what an earlier one said. */
  async dispatch(origin: ServerName, edus: readonly Edu[]): Promise<void> {
    for (const { edu_type: type, content } of edus) {
      const handler = this.#handlers.get(type);
      if (handler === undefined) continue;
      try {
        await handler(origin, content);
      } catch (error) {
        this.#logger.warn({ err: error, origin, type }, 'EDU could not be handled');
      }
    }
  }
}
