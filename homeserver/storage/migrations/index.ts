/** Every migration, in the order they are applied. Names sort in that same order. */
import type { Migration } from '../migration.ts';

export const migrations: readonly Migration[] = [];
