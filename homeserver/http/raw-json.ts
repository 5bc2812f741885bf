/**
 * JSON already serialised, spliced unchanged into a response: the JSON of an event is written once
 * and reused by every reader.
 */
import { randomBytes } from 'node:crypto';

/**
 * What stands in the serialised skeleton where a raw piece goes. It is unguessable, so no text that
 * others choose can be taken for it.
 */
const MARKER = `raw-json:${randomBytes(16).toString('hex')}`;
const QUOTED_MARKER = `"${MARKER}"`;

/** The raw pieces met by the serialisation under way, in order. */
let pieces: string[] = [];

export class RawJson {
  /** Bytes are for the whole of an answer that many are sent: they share them. */
  readonly source: string | Buffer;

  constructor(source: string | Buffer) {
    this.source = source;
  }

  get json(): string {
    return typeof this.source === 'string' ? this.source : this.source.toString('utf8');
  }

  toJSON(): string {
    pieces.push(this.json);
    return MARKER;
  }
}

/**
 * A value that serialises to exactly `json`, which must be valid JSON: nothing checks it again. It
 * takes the type its place in a response asks for, but only {@link stringifyWithRaw} can read it.
 */
export const rawJson = <T>(json: string | Buffer): T => new RawJson(json) as T;

/** `JSON.stringify`, with every {@link rawJson} value spliced in; nothing extra is paid without. */
export const stringifyWithRaw = (value: unknown): string => {
  if (value instanceof RawJson) return value.json;
  pieces = [];
  const skeleton = JSON.stringify(value);
  if (pieces.length === 0) return skeleton;
  const found = pieces;
  pieces = [];
  let out = '';
  let from = 0;
  for (const piece of found) {
    const at = skeleton.indexOf(QUOTED_MARKER, from);
    out += skeleton.slice(from, at) + piece;
    from = at + QUOTED_MARKER.length;
  }
  return out + skeleton.slice(from);
};
