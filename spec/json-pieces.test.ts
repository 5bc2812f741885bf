import fc from 'fast-check';
import { JsonPieces, type JsonPiecesBounds, JsonTextList, JsonTooCostly } from './json-pieces.ts';

const NO_BOUND = { maxValues: Number.MAX_SAFE_INTEGER, maxDepth: 1_000 };

const parsed = (text: string, cut = 16_384, bounds: JsonPiecesBounds = NO_BOUND): unknown => {
  const pieces = new JsonPieces(bounds);
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += cut) pieces.push(bytes.subarray(at, at + cut));
  return pieces.end();
};

/** More than one group of each thing. */
const long = (count: number) => Array.from({ length: count }, (_, n) => `element ${n} ü "\\`);

describe('JSON in pieces', () => {
  it('comes out as JSON.parse has it, wherever it is cut', () => {
    fc.assert(
      fc.property(fc.json(), fc.integer({ min: 1, max: 40 }), (text, cut) => {
        expect(parsed(text, cut)).toEqual(JSON.parse(text));
      }),
      { seed: 7 },
    );
  });

  it.each([
    ['a long list', long(5000)],
    ['lists in a long list', Array.from({ length: 9 }, () => long(3000))],
    ['a long list among others', { a: 1, b: { c: [1, [2], long(4000), 3, {}] }, d: [], e: 'x' }],
    [
      'a long object',
      { before: {}, many: Object.fromEntries(long(4000).map((key, n) => [key, { n }])) },
    ],
    ['long things one after the other', [long(4000), long(4000), [], { a: long(4000) }, 1]],
  ])('puts %s together again', (_, value) => {
    for (const text of [JSON.stringify(value), JSON.stringify(value, undefined, 3)]) {
      for (const cut of [1_000, 16_384, 1_000_000]) expect(parsed(text, cut)).toEqual(value);
    }
  });

  it('keeps a key named __proto__ a key', () => {
    const text = `{"pad":${JSON.stringify(long(4000))},"__proto__":${JSON.stringify(long(4000))}}`;
    const value = parsed(text) as object;
    expect(Object.keys(value)).toEqual(['pad', '__proto__']);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  });

  it('refuses whatever JSON.parse refuses', () => {
    const filler = JSON.stringify(long(4000));
    const broken = [
      ...['', ' ', '{', '[1', '"x', '[1,]', '[,1]', '{"a"}', '{"a":}', '{"a":1,}', '[1 2]', '1 2'],
      ...[
        '[1}',
        '{"a":1]',
        '{,}',
        '{1:2}',
        '[]]',
        '{}{}',
        '1,2',
        '["a" "b"]',
        'tru',
        '[-]',
        '"\\x"',
      ],
      ...[`[${filler},]`, `[${filler} 1]`, `[1 ${filler}]`, `[1,,${filler}]`, `[${filler},,1]`],
      ...[`[,${filler}]`, `{"a" ${filler}}`, `{"a":${filler},}`, `{${filler}}`, `[${filler}`],
      ...[`[${filler}:1]`, `{"a":1 "b":${filler}}`, `${filler}${filler}`, `[x,${filler}]`],
    ];
    for (const text of broken) {
      expect(() => JSON.parse(text)).toThrow(SyntaxError);
      for (const cut of [7, 16_384]) expect(() => parsed(text, cut)).toThrow(SyntaxError);
    }
  });

  it('leaves the lists asked for as text', () => {
    const state = long(5000).map((text, n) => ({ n, text, state: [n] }));
    const value = { origin: 'x', state, auth_chain: [], other: long(5000), last: { state: [1] } };
    const lists = { state: 5000, auth_chain: 1 };
    for (const text of [JSON.stringify(value), JSON.stringify([200, value])]) {
      const answer = parsed(text, 16_384, { ...NO_BOUND, lists, maxListValues: 30_000 });
      const found = (Array.isArray(answer) ? answer[1] : answer) as Record<string, unknown>;
      expect(found['state']).toBeInstanceOf(JsonTextList);
      expect((found['state'] as JsonTextList).length).toBe(5000);
      expect([...(found['state'] as JsonTextList)]).toEqual(state);
      expect([...(found['auth_chain'] as JsonTextList)]).toEqual([]);
      expect(found['other']).toEqual(value.other);
      expect(found['last']).toEqual(value.last);
    }
  });

  it('leaves elements longer than what is parsed at a time whole', () => {
    const events = [10, 40_000, 50_000, 1, 33_000, 60_000].map((length, n) => ({
      content: { a: 'é'.repeat(length), list: [n, 'x'.repeat(length), n], last: true },
      depth: n,
      ...{ hashes: {}, list: [], type: `type ${n}` },
    }));
    const lists = { state: events.length };
    for (const state of [events, events.toReversed(), events.slice(1, 2), [events, 1, events]]) {
      const value = { before: 1, state, after: [long(4000)] };
      for (const cut of [1_000, 16_384, 250_000]) {
        const bounds = { ...NO_BOUND, lists, maxListValues: 1_000 };
        const answer = parsed(JSON.stringify(value), cut, bounds) as typeof value;
        // Compared as text: what differs is too long to be shown.
        expect(JSON.stringify([...answer.state]) === JSON.stringify(state)).toBe(true);
        expect(answer.after).toEqual(value.after);
      }
    }
  });

  it('refuses too many values, levels and elements while they come', () => {
    const pieces = (bounds: Partial<JsonPiecesBounds>) =>
      new JsonPieces({ maxValues: 1000, maxDepth: 100, ...bounds });
    const endless = (start: string, more: string, bounds: Partial<JsonPiecesBounds> = {}) => {
      const reader = pieces(bounds);
      reader.push(Buffer.from(start));
      for (let n = 0; n < 3000; n++) reader.push(Buffer.from(more));
    };
    expect(() => endless('[1', ',1')).toThrow(JsonTooCostly);
    expect(() => endless('[{}', ',{}')).toThrow('too many values');
    expect(() => endless('', '[')).toThrow('nested too deeply');
    expect(() => endless('', '{"a":')).toThrow('nested too deeply');
    expect(() => endless('["', 'x'.repeat(1000))).toThrow('too long');
    expect(() => endless('[1', ' '.repeat(1000))).toThrow('too long');
    const few = { lists: { pdus: 10 }, maxListValues: 1000 };
    expect(() => endless('{"pdus":[[1', ',1', few)).toThrow('too many values');
    expect(() => endless('{"pdus":[1', ',1', few)).toThrow('too many elements');
    expect(parsed('[[],[1]]', 3, { maxValues: 4, maxDepth: 2 })).toEqual([[], [1]]);
    expect(() => parsed('[[],[1]]', 3, { maxValues: 3, maxDepth: 2 })).toThrow(JsonTooCostly);
    expect(() => parsed('[[],[1]]', 3, { maxValues: 4, maxDepth: 1 })).toThrow(JsonTooCostly);
  });

  it('refuses a bomb after a fraction of it', () => {
    const bomb = Buffer.from('{},'.repeat(1_000_000));
    const pieces = new JsonPieces({ maxValues: 10_000, maxDepth: 10 });
    pieces.push(Buffer.from('{"x":['));
    let pushed = 0;
    expect(() => {
      for (; pushed < bomb.length; pushed += 16_384) {
        pieces.push(bomb.subarray(pushed, pushed + 16_384));
      }
    }).toThrow(JsonTooCostly);
    expect(pushed).toBeLessThan(50_000);
  });
});
