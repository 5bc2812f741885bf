/**
 * The kinds of configuration key. Each is a JSON schema that also carries what a person needs: a
 * description, the default, and in `expects` what a right value looks like.
 */
import { type TSchema, type TUnsafe, Type } from 'typebox';

/** A configuration key's schema as plain JSON schema, for code that walks over all of them. */
export interface FieldSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly expects?: string;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, FieldSchema>>;
  readonly required?: readonly string[];
  readonly items?: FieldSchema;
  /** `path`: relative ones are relative to the configuration file's folder. */
  readonly holds?: 'path';
  /** Of a list: a single entry stands for a list of one. */
  readonly orOne?: boolean;
}

interface Described<T> {
  readonly default: T;
  readonly description: string;
}

interface TextOptions {
  readonly pattern?: string;
  readonly minLength?: number;
  readonly expects?: string;
  readonly holds?: 'path';
}

const field = <T>(schema: object): TUnsafe<T> => Type.Unsafe<T>(schema);

export const text = (options: Described<string> & TextOptions): TUnsafe<string> =>
  field({ type: 'string', expects: 'a text', ...options });

/** `null` when not given. */
export const optionalText = (
  options: Omit<Described<null>, 'default'> & TextOptions,
): TUnsafe<string | null> =>
  field({ type: ['string', 'null'], default: null, expects: 'a text, or null', ...options });

export const choice = <const T extends string>(
  values: readonly T[],
  options: Described<NoInfer<T>>,
): TUnsafe<T> => field({ type: 'string', enum: values, ...options });

export const flag = (options: Described<boolean>): TUnsafe<boolean> =>
  field({ type: 'boolean', expects: 'true or false', ...options });

export const whole = (
  options: Described<number> & { minimum: number; maximum?: number },
): TUnsafe<number> =>
  field({ type: 'integer', expects: between('a whole number', options), ...options });

/** A whole number, or `auto` for what the machine has. */
export const wholeOrAuto = (
  options: Described<number | 'auto'> & { minimum: number; maximum: number },
): TUnsafe<number | 'auto'> =>
  field({
    type: ['integer', 'string'],
    pattern: '^auto$',
    expects: `${between('a whole number', options)}, or auto`,
    ...options,
  });

/** `null` for none. */
export const optionalWhole = (
  options: Described<number | null> & { minimum: number; maximum?: number },
): TUnsafe<number | null> =>
  field({
    type: ['integer', 'null'],
    expects: `${between('a whole number', options)}, or null`,
    ...options,
  });

export const decimal = (
  options: Described<number> & { minimum: number; maximum?: number },
): TUnsafe<number> => field({ type: 'number', expects: between('a number', options), ...options });

export const texts = (
  options: Described<readonly string[]> & {
    pattern?: string;
    minItems?: number;
    each?: string;
    orOne?: boolean;
  },
): TUnsafe<readonly string[]> => {
  const { pattern, each = 'a text', ...rest } = options;
  const items = { type: 'string', expects: each, ...(pattern === undefined ? {} : { pattern }) };
  return field({ type: 'array', expects: `a list, each entry ${each}`, items, ...rest });
};

export const choices = <const T extends string>(
  values: readonly T[],
  options: Described<readonly NoInfer<T>[]>,
): TUnsafe<readonly T[]> =>
  field({
    type: 'array',
    expects: `a list of ${values.join(', ')}`,
    items: { type: 'string', enum: values },
    minItems: 1,
    uniqueItems: true,
    ...options,
  });

/** A group of keys. Those without a default must be given wherever the group itself is. */
export const group = <T extends Record<string, TSchema>>(description: string, properties: T) =>
  Type.Object(properties, {
    description,
    additionalProperties: false,
    expects: `a group of the keys ${Object.keys(properties).join(', ')}`,
  });

const between = (what: string, limits: { minimum: number; maximum?: number }): string =>
  limits.maximum === undefined
    ? `${what}, at least ${limits.minimum}`
    : `${what} from ${limits.minimum} to ${limits.maximum}`;
