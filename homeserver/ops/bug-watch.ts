/**
 * What becomes of failures that nobody caught.
 *
 * A rejected promise that nobody awaits is work that was let go: its own request or room has failed,
 * and everybody else goes on. It is logged as the bug it is. What holds the data together does not
 * rely on this: the log stops the server itself when a write went wrong. Many of them in a short time
 * are no accident any more, and an exception thrown out of the event loop has left some code in the
 * middle of a change; after either nothing can be relied upon, and the server stops.
 */
import type { Clock } from '../clock.ts';
import type { Logger } from './logger.ts';

const MAX_REJECTIONS = 20;
const WINDOW_MS = 60_000;

export interface BugWatchOptions {
  readonly logger: Pick<Logger, 'error' | 'fatal'>;
  readonly clock: Clock;
  /** The process, or in tests something like it. */
  readonly source: Pick<NodeJS.EventEmitter, 'on'>;
}

/** Resolves when the server has to stop. */
export const watchForBugs = ({ logger, clock, source }: BugWatchOptions): Promise<void> =>
  new Promise((stop) => {
    let since = Number.NEGATIVE_INFINITY;
    let rejections = 0;
    const onException = (error: unknown) => {
      logger.fatal({ err: error }, 'a bug: nobody expected this failure; stopping');
      stop();
    };
    const onRejection = (error: unknown) => {
      const nowMs = clock.nowMs();
      if (nowMs - since > WINDOW_MS) {
        since = nowMs;
        rejections = 0;
      }
      rejections++;
      if (rejections <= MAX_REJECTIONS) {
        logger.error({ err: error }, 'a bug: nobody awaited what has failed; going on');
        return;
      }
      if (rejections > MAX_REJECTIONS + 1) return;
      logger.fatal({ err: error, rejections }, 'a bug: too much fails unexpectedly; stopping');
      stop();
    };
    source.on('uncaughtException', onException);
    source.on('unhandledRejection', onRejection);
  });
