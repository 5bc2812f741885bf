/**
 * Unpadded base64 in both alphabets.
 *
 * Specification: https://spec.matrix.org/v1.19/appendices/#unpadded-base64
 */

export const encodeBase64 = (bytes: Uint8Array): string =>
  unpadded(asBuffer(bytes).toString('base64'));

export const encodeUrlSafeBase64 = (bytes: Uint8Array): string =>
  asBuffer(bytes).toString('base64url');

const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

/**
 * Decodes either alphabet, with or without padding; `undefined` if `text` is not base64. Unused
 * bits of the last character are ignored.
 */
export const decodeBase64 = (text: string): Buffer | undefined => {
  if (!BASE64.test(text) || unpadded(text).length % 4 === 1) return undefined;
  return Buffer.from(text, 'base64');
};

/** Removes the padding of base64 that another encoder has put on. */
export const unpadded = (base64: string): string => {
  let end = base64.length;
  while (end > 0 && base64[end - 1] === '=') end--;
  return end === base64.length ? base64 : base64.slice(0, end);
};

const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
