/**
 * The specification's operations and the schemas of their successful responses,
 * as data (`operations.json`, written by `generate.ts`). What is matched here is
 * a request as it went over the wire: a method and a path.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../lib/repository.ts';

export type Api = 'client-server' | 'server-server' | 'push-gateway';

export interface Operation {
  readonly api: Api;
  readonly method: string;
  /** As the specification writes it: `/_matrix/client/v3/rooms/{roomId}/join`. */
  readonly path: string;
  readonly id: string;
  readonly auth: 'none' | 'user' | 'server';
  readonly deprecated?: true;
  /** JSON Schema of the JSON body by status code; absent where the body is not JSON. */
  readonly responses: Readonly<Record<string, JsonSchema>>;
}

/** JSON Schema 2020-12; a reference points into `$defs` of the whole document. */
export type JsonSchema = Readonly<Record<string, unknown>> | boolean;

export interface OperationsFile {
  readonly $comment: string;
  readonly operations: readonly Operation[];
  readonly $defs: Readonly<Record<string, JsonSchema>>;
}

export function operationsFilePath(): string {
  return join(repositoryRoot(), 'sytest/sweep/operations.json');
}

export function loadOperations(): OperationsFile {
  return JSON.parse(readFileSync(operationsFilePath(), 'utf8')) as OperationsFile;
}

/**
 * Finds the operation a request belongs to. A literal path segment beats a
 * parameter (`/register/available` is not `/register/{…}`); a path parameter is
 * one segment, except the last of an operation whose parameter may hold slashes.
 */
export function createMatcher(
  operations: readonly Operation[],
): (method: string, path: string) => Operation | undefined {
  const byShape = new Map<string, { segments: string[]; operation: Operation }[]>();
  const shapeOf = (method: string, segments: readonly string[]) => `${method} ${segments.length}`;
  for (const operation of operations) {
    const segments = segmentsOf(operation.path);
    const shape = shapeOf(operation.method, segments);
    byShape.set(shape, [...(byShape.get(shape) ?? []), { segments, operation }]);
  }
  for (const candidates of byShape.values()) {
    candidates.sort((a, b) => parameterCount(a.segments) - parameterCount(b.segments));
  }
  return (method, path) => {
    const segments = segmentsOf(path);
    return byShape
      .get(shapeOf(method, segments))
      ?.find((candidate) => candidate.segments.every((s, i) => isParameter(s) || s === segments[i]))
      ?.operation;
  };
}

/** A trailing slash is a segment of its own: some operations end in an empty state key. */
function segmentsOf(path: string): string[] {
  return path.split('/').slice(1);
}

function isParameter(segment: string): boolean {
  return segment.startsWith('{');
}

function parameterCount(segments: readonly string[]): number {
  return segments.filter(isParameter).length;
}
