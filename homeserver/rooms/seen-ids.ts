/**
 * Texts that have been seen, in some twelve bits each: it never says that one is new that is not, and
 * seldom that one may have been seen that is new. (Bloom, "Space/time trade-offs in hash coding with
 * allowable errors", 1970; in layers, so that it need not know how many there will be.)
 */

const LAYER_TEXTS = 4096;
const BITS_PER_TEXT = 12;
const LAYER_BITS = LAYER_TEXTS * BITS_PER_TEXT;
const PROBES = 6;
/** Some 260,000 texts in 400 kB. */
const MAX_LAYERS = 64;

export const LAYER_BYTES = LAYER_BITS / 8;

export class SeenIds {
  readonly #layers: Uint32Array[] = [];
  #inNewest = LAYER_TEXTS;

  get layers(): number {
    return this.#layers.length;
  }

  /** False when there is no room for another: then nothing can be said of what is not in it. */
  add(text: string): boolean {
    if (this.#inNewest === LAYER_TEXTS) {
      if (this.#layers.length === MAX_LAYERS) return false;
      this.#layers.push(new Uint32Array(LAYER_BITS / 32));
      this.#inNewest = 0;
    }
    this.#inNewest += 1;
    const newest = this.#layers.at(-1) as Uint32Array;
    const [first, step] = hashesOf(text);
    for (let probe = 0; probe < PROBES; probe += 1) {
      const bit = ((first + probe * step) >>> 0) % LAYER_BITS;
      newest[bit >>> 5] = (newest[bit >>> 5] as number) | (1 << (bit & 31));
    }
    return true;
  }

  mayHave(text: string): boolean {
    const [first, step] = hashesOf(text);
    return this.#layers.some((layer) => isIn(layer, first, step));
  }
}

const isIn = (layer: Uint32Array, first: number, step: number): boolean => {
  for (let probe = 0; probe < PROBES; probe += 1) {
    const bit = ((first + probe * step) >>> 0) % LAYER_BITS;
    if (((layer[bit >>> 5] as number) & (1 << (bit & 31))) === 0) return false;
  }
  return true;
};

/** Two 32-bit hashes (FNV-1a, and the same mixed once more); the second is odd. */
const hashesOf = (text: string): [number, number] => {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return [hash >>> 0, ((mixed ^ (mixed >>> 16)) | 1) >>> 0];
};
