import { AnswerReader, type HttpAnswer } from './http-answer.ts';

/** Feeds the text in pieces of `pieceBytes`; the answer must be complete with the last piece only. */
const readInPieces = (text: string, pieceBytes: number): HttpAnswer | undefined => {
  const bytes = Buffer.from(text);
  const reader = new AnswerReader();
  for (let from = 0; from < bytes.length; from += pieceBytes) {
    const answer = reader.push(bytes.subarray(from, from + pieceBytes));
    if (answer !== undefined) {
      expect(from + pieceBytes).toBeGreaterThanOrEqual(bytes.length);
      return answer;
    }
    expect(reader.started).toBe(true);
  }
  return undefined;
};

const JSON_BODY = '{"a":"éé"}';
const fixed = `HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX: y\r\n\r\n${JSON_BODY}`;
const chunked =
  'HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n' +
  '5\r\n{"a":\r\nA;ext=1\r\n["\r\n4567"]\r\n1\r\n}\r\n0\r\n\r\n';

describe('AnswerReader', () => {
  it.each([1, 2, 3, 7, 1000])('reads a body with a length in pieces of %d', (pieceBytes) => {
    const answer = readInPieces(fixed, pieceBytes);
    expect(answer).toMatchObject({ status: 200, closes: false });
    expect(answer?.body.toString()).toBe(JSON_BODY);
    expect(readInPieces(fixed.replace('12', '13'), pieceBytes)).toBeUndefined();
  });

  it.each([1, 2, 3, 7, 1000])('reads a chunked body in pieces of %d', (pieceBytes) => {
    const answer = readInPieces(chunked, pieceBytes);
    expect(answer?.status).toBe(404);
    expect(answer?.body.toString()).toBe('{"a":["\r\n4567"]}');
  });

  it('reads one answer after another', () => {
    const reader = new AnswerReader();
    expect(reader.push(Buffer.from(chunked))?.status).toBe(404);
    expect(reader.started).toBe(false);
    expect(reader.push(Buffer.from(fixed))?.status).toBe(200);
    expect(
      reader.push(Buffer.from('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n')),
    ).toMatchObject({ status: 204, closes: true });
  });

  it.each([
    ['no HTTP', 'SSH-2.0-x\r\n\r\n'],
    ['no length', 'HTTP/1.1 200 OK\r\n\r\n'],
    ['more than the length', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab'],
    ['a chunk without size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'],
  ])('refuses an answer with %s', (_, text) => {
    expect(() => new AnswerReader().push(Buffer.from(text))).toThrow();
  });
});
