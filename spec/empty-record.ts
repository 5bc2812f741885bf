/** Objects whose keys others choose, for where a Map will not do because the object becomes JSON. */

/**
 * Without prototype: no key is there before it was put there, and `__proto__` is one like any other.
 * Written as `{}`, `constructor` would be found in it, and what is kept under `__proto__` would not.
 */
export const emptyRecord = <T>(): Record<string, T> => Object.create(null) as Record<string, T>;
