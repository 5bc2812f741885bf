import { RawJson, rawJson, stringifyWithRaw } from './raw-json.ts';

describe('stringifyWithRaw', () => {
  it('is JSON.stringify where nothing is raw', () => {
    const value = { a: [1, 'x', null], b: { c: true } };
    expect(stringifyWithRaw(value)).toBe(JSON.stringify(value));
  });

  it('splices pieces unchanged and in order, wherever they stand', () => {
    const value = {
      events: [rawJson('{"n":1.0}'), rawJson('{"n":2}')],
      first: rawJson('[ 1 ]'),
      plain: 'text',
    };
    expect(stringifyWithRaw(value)).toBe(
      '{"events":[{"n":1.0},{"n":2}],"first":[ 1 ],"plain":"text"}',
    );
  });

  it('takes a raw value as the whole, and `$` in a piece for what it is', () => {
    expect(stringifyWithRaw(rawJson('{"a":"$&$\'"}'))).toBe('{"a":"$&$\'"}');
    expect(stringifyWithRaw([rawJson('"$&"')])).toBe('["$&"]');
  });

  it('leaves nothing behind for the next value when serialising throws', () => {
    const failing = { raw: rawJson('1'), bad: 1n };
    expect(() => stringifyWithRaw(failing)).toThrow(TypeError);
    expect(stringifyWithRaw({ a: rawJson('2') })).toBe('{"a":2}');
  });

  it('cannot be tricked by text that looks like the marker of another process', () => {
    const marker = new RawJson('1').toJSON().replace(/[0-9a-f]{8}$/, '00000000');
    expect(stringifyWithRaw([marker, rawJson('2')])).toBe(`["${marker}",2]`);
  });
});
