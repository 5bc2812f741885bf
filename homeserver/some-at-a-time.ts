/** Does work for each item, for so many at a time, in order of their turns; the first error ends it. */
export const someAtATime = async <T>(
  items: Iterable<T>,
  maxRunning: number,
  work: (item: T) => Promise<void>,
): Promise<void> => {
  const waiting = [...items].reverse();
  let hasFailed = false;
  const run = async (): Promise<void> => {
    for (let item = waiting.pop(); item !== undefined && !hasFailed; item = waiting.pop()) {
      try {
        await work(item);
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(maxRunning, waiting.length) }, run));
};
