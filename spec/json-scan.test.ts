import fc from 'fast-check';
import { brokenJsonBound, JsonScan } from './json-scan.ts';

const NO_BOUND = { maxValues: Number.MAX_SAFE_INTEGER, maxDepth: Number.MAX_SAFE_INTEGER };

const measured = (value: unknown): { values: number; depth: number } => {
  if (typeof value !== 'object' || value === null) return { values: 1, depth: 0 };
  let values = 1;
  let depth = 0;
  for (const member of Object.values(value)) {
    const inner = measured(member);
    values += inner.values;
    depth = Math.max(depth, inner.depth);
  }
  return { values, depth: depth + 1 };
};

/** The smallest bounds that let the text through. */
const bounds = (json: string): { values: number; depth: number } => {
  const { values, depth } = measured(JSON.parse(json));
  expect(brokenJsonBound(json, { maxValues: values, maxDepth: depth })).toBeUndefined();
  if (values > 1) {
    expect(brokenJsonBound(json, { ...NO_BOUND, maxValues: values - 1 })).toBe('values');
  }
  if (depth > 0) expect(brokenJsonBound(json, { ...NO_BOUND, maxDepth: depth - 1 })).toBe('depth');
  return { values, depth };
};

describe('the values and depth of JSON text', () => {
  it.each([
    ['0', 1, 0],
    ['"[{,"', 1, 0],
    ['{}', 1, 1],
    ['[ \n]', 1, 1],
    ['[[]]', 2, 2],
    ['[1]', 2, 1],
    ['{"a":{}}', 2, 2],
    ['{"x":[{},{},{}]}', 5, 3],
    ['{ "a,[" : "\\"[,{\\\\" , "b" : [ 1 , true , null ] }', 6, 2],
    ['[[],[[]],{"é":"\\u005b"}]', 6, 3],
  ])('%s: %d, %d', (json, values, depth) => {
    expect(bounds(json)).toEqual({ values, depth });
  });

  it('are those of what a parser builds, wherever the text is cut', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), fc.nat(), fc.boolean(), (json, cut, indented) => {
        const text = indented ? JSON.stringify(JSON.parse(json), null, 2) : json;
        const { values } = bounds(text);
        const bytes = Buffer.from(text);
        const at = cut % (bytes.length + 1);
        const scan = new JsonScan(NO_BOUND);
        scan.push(bytes.subarray(0, at));
        scan.push(bytes.subarray(at));
        expect(scan.values).toBe(values);
      }),
    );
  });

  it('stay broken', () => {
    const scan = new JsonScan({ maxValues: 2, maxDepth: 9 });
    expect(scan.push(Buffer.from('[1,2'))).toBe('values');
    expect(scan.push(Buffer.from(']'))).toBe('values');
  });

  it('take time in proportion to the bytes, whatever these are', () => {
    for (const piece of ['[', '{},', '"\\\\",', ' ', '}', '1e1,', ':']) {
      const bytes = Buffer.from(piece.repeat(Math.ceil((4 << 20) / piece.length)));
      const started = process.cpuUsage();
      brokenJsonBound(bytes, NO_BOUND);
      const { user } = process.cpuUsage(started);
      expect(user / 1000).toBeLessThan(400);
    }
  });
});

describe('numbers that JavaScript writes otherwise', () => {
  it.each([
    ['[1.0]', true],
    ['{"a":1e-07}', true],
    ['[1E3]', true],
    ['[-0]', true],
    ['[-0.0]', true],
    ['[9007199254740993]', true],
    ['[-12345678901234567890]', true],
    ['[true,false,null,"1.5e3","-0"]', false],
    ['[0,-1,10,-10,100,999999999999999]', false],
    ['[123456789012345,678901234567890]', false],
    ['{"1.0":0,"e":[1\n,2]}', false],
  ])('%s: %s', (json, unsafe) => {
    const bytes = Buffer.from(json);
    for (let at = 0; at <= bytes.length; at++) {
      const scan = new JsonScan(NO_BOUND);
      scan.push(bytes.subarray(0, at));
      scan.push(bytes.subarray(at));
      expect(scan.hasUnsafeNumber).toBe(unsafe);
    }
  });
});
