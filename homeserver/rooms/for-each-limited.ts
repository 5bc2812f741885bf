/** Running many small tasks a few at a time. */

/** Runs `task` for every item, at most `width` at a time. Resolves to the errors thrown. */
export const forEachLimited = async <T>(
  items: Iterable<T>,
  width: number,
  task: (item: T) => Promise<void>,
): Promise<unknown[]> => {
  const errors: unknown[] = [];
  const iterator = items[Symbol.iterator]();
  const work = async (): Promise<void> => {
    for (let next = iterator.next(); next.done !== true; next = iterator.next()) {
      try {
        await task(next.value);
      } catch (error) {
        errors.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: width }, work));
  return errors;
};
