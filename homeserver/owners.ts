/**
 * Who of the server's processes answers for what. A room, a user or a destination has one owner at a
 * time, and whoever is asked for something that only the owner can do asks the owner. A server that is
 * one process owns everything and asks nobody.
 */
import { LogWriteFailed, LogWriteRefused } from './streams/log-writer.ts';

export interface Owners {
  /** The process that owns the key; undefined where it is this one. */
  elsewhere(key: string): string | undefined;
  /**
   * Calls what the owner of `key` answers under `method`; in this process where that is the owner.
   * Asked again while the key changes its owner. Arguments and answer travel as JSON: an undefined one
   * arrives as undefined, and so does null.
   * @param isRepeatable doing it twice is doing it once: asked again, too, where nobody knows whether
   *   it was carried out
   * @throws what the answer threw, or LogWriteFailed where nobody knows whether it was carried out
   */
  ask(
    key: string,
    method: string,
    args: readonly unknown[],
    isRepeatable?: boolean,
  ): Promise<unknown>;
  /** What this process answers of the keys it owns. */
  answer(method: string, run: Answer): void;
  /** Called when keys have got other owners: after this process may write what it owns now. */
  onChange(listener: () => void): void;
}

export type Answer = (...args: never[]) => Promise<unknown>;

/** For a server that is one process. */
export const soleOwner: Owners = {
  elsewhere: () => undefined,
  ask: () => Promise.reject(new Error('There is nobody else to ask')),
  answer: () => undefined,
  onChange: () => undefined,
};

/**
 * Does something here where this process owns the key, and otherwise `there`: also where another one
 * came to own it before it was done.
 */
export const whereOwned = async <T>(
  owners: Owners,
  key: string,
  here: () => Promise<T>,
  there: () => Promise<T>,
): Promise<T> => {
  if (owners === soleOwner) return here();
  if (owners.elsewhere(key) === undefined) {
    try {
      return await here();
    } catch (error) {
      const isRefused = error instanceof LogWriteRefused;
      const hasMoved = error instanceof LogWriteFailed && owners.elsewhere(key) !== undefined;
      if (!isRefused && !hasMoved) throw error;
    }
  }
  return there();
};

type KeysOf<Service> = {
  readonly [Method in keyof Service]?: Service[Method] extends (...args: infer Args) => unknown
    ? (...args: Args) => string
    : never;
};

/**
 * The service as it is called from anywhere: the methods named in `keys` run in the process that owns
 * what they are about. They take and give nothing but JSON.
 *
 * @param repeatable methods that, called twice, do what they do once
 */
export const atOwner = <Service extends object>(
  owners: Owners,
  name: string,
  service: Service,
  keys: KeysOf<Service>,
  repeatable: readonly (keyof Service & string)[] = [],
): Service => {
  if (owners === soleOwner) return service;
  const bound = new Map<PropertyKey, unknown>();
  for (const [method, keyOf] of Object.entries(keys) as [
    string,
    (...args: unknown[]) => string,
  ][]) {
    const run = (service as Record<string, Answer>)[method] as (
      ...args: unknown[]
    ) => Promise<unknown>;
    const full = `${name}.${method}`;
    owners.answer(full, run.bind(service) as Answer);
    const isRepeatable = (repeatable as readonly string[]).includes(method);
    bound.set(method, (...args: unknown[]) => owners.ask(keyOf(...args), full, args, isRepeatable));
  }
  return new Proxy(service, {
    get: (target, property) => {
      const known = bound.get(property);
      if (known !== undefined) return known;
      const value = (target as Record<PropertyKey, unknown>)[property];
      if (typeof value !== 'function') return value;
      // Private fields are the service's own, not the proxy's.
      const method = value.bind(target);
      bound.set(property, method);
      return method;
    },
  });
};
