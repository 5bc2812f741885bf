/** A response body with its compression undone and its size bounded, whatever was announced. */
import type { IncomingMessage } from 'node:http';
import { pipeline, type Readable, Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { type OutboundFailure, PermanentFailure, RetryableFailure } from './failures.ts';

/** The codings {@link boundedBody} can undo, for `Accept-Encoding`. */
export const ACCEPTED_CODINGS = 'gzip, deflate, br';

const decoderFor = (coding: string): Transform | undefined => {
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

const tooLarge = (maxBytes: number) =>
  new PermanentFailure('too_large', `the answer is larger than ${maxBytes} bytes`);

/**
 * The decoded body; the stream fails with {@link PermanentFailure} `too_large` as soon as more than
 * `maxBytes` have come out of it, so a few bytes that unpack to gigabytes are never unpacked.
 * @param failureOf gives an error of the stream below its type
 */
export const boundedBody = (
  response: IncomingMessage,
  maxBytes: number,
  failureOf: (error: Error) => OutboundFailure,
): Readable => {
  const coding = (response.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  let left = maxBytes;
  const bound = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      left -= chunk.length;
      if (left < 0) done(tooLarge(maxBytes));
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
  const decoder = decoderFor(coding);
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
