/** A response body with its compression undone and its size bounded, whatever was announced. */
import type { IncomingMessage } from 'node:http';
import { pipeline, type Readable, Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, type Zlib } from 'node:zlib';
import { type OutboundFailure, PermanentFailure, RetryableFailure } from './failures.ts';

/** The codings {@link boundedBody} can undo, for `Accept-Encoding`. */
export const ACCEPTED_CODINGS = 'gzip, deflate, br';

const decoderFor = (coding: string): (Transform & Zlib) | undefined => {
  switch (coding) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'deflate':
      return createInflate();
    case 'br':
      return createBrotliDecompress();
    default:
      return undefined;
  }
};

/**
 * What unpacks to more than so many times its size is made to, once it is no small matter: JSON and
 * pages come to a tenth or twentieth of theirs.
 */
const MAX_RATIO = 100;
const UNSUSPICIOUS_BYTES = 1024 * 1024;

const tooLarge = (maxBytes: number) =>
  new PermanentFailure('too_large', `the answer is larger than ${maxBytes} bytes`);

/**
 * The decoded body; the stream fails with {@link PermanentFailure} `too_large` as soon as more than
 * `maxBytes` have come out of it, or far more than went in, so a few bytes that unpack to gigabytes
 * are never unpacked.
 * @param failureOf gives an error of the stream below its type
 */
export const boundedBody = (
  response: IncomingMessage,
  maxBytes: number,
  failureOf: (error: Error) => OutboundFailure,
): Readable => {
  const coding = (response.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  const decoder = decoderFor(coding);
  let left = maxBytes;
  const bound = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      left -= chunk.length;
      const unpacked = maxBytes - left;
      const isBomb =
        decoder !== undefined &&
        unpacked > Math.max(UNSUSPICIOUS_BYTES, MAX_RATIO * decoder.bytesWritten);
      if (left < 0) done(tooLarge(maxBytes));
      else if (isBomb) done(new PermanentFailure('too_large', 'the answer is made to unpack'));
      else done(null, chunk);
    },
    destroy(error, done) {
      done(error === null ? null : failureOf(error));
    },
  });
  // The reader hears of every failure when it reads; until then nobody has to listen.
  const heard = () => undefined;
  bound.on('error', heard);
  if (coding === 'identity' || coding === '') {
    if (Number(response.headers['content-length'] ?? 0) > maxBytes) {
      response.destroy();
      bound.destroy(tooLarge(maxBytes));
      return bound;
    }
    return pipeline(response, bound, heard);
  }
  if (decoder === undefined) {
    response.destroy();
    bound.destroy(new RetryableFailure('bad_response', `unknown content coding ${coding}`));
    return bound;
  }
  decoder.on('error', (error) => {
    bound.destroy(
      new RetryableFailure('bad_response', `bad ${coding} body: ${error.message}`, {
        cause: error,
      }),
    );
  });
  return pipeline(response, decoder, bound, heard);
};
