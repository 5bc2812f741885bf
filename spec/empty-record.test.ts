import { execFileSync } from 'node:child_process';
import { emptyRecord } from './empty-record.ts';

describe('emptyRecord', () => {
  it('has no key of its own accord, and takes every key', () => {
    const record = emptyRecord<number>();
    expect(record['constructor']).toBeUndefined();
    for (const [value, key] of ['__proto__', 'constructor'].entries()) record[key] = value + 1;
    expect(JSON.stringify(record)).toBe('{"__proto__":1,"constructor":2}');
    expect(JSON.stringify({ ...record })).toBe('{"__proto__":1,"constructor":2}');
  });
});

describe('lint', () => {
  const accepts = (line: string): boolean => {
    const input = `export const f = (key: string, o: Record<string, object>) => {\n  ${line}\n  return [key, o, all];\n};\n`;
    const path = '--stdin-file-path=homeserver/sample.ts';
    try {
      execFileSync('node_modules/.bin/biome', ['lint', path], { input, stdio: 'pipe' });
      return true;
    } catch {
      return false;
    }
  };

  it.each([
    ['const all: Record<string, number> = {};', false],
    ['const all: { [key: string]: number } = {};', false],
    ['const all = o[key] ?? {};', false],
    ['const all = new Map<string, number>();', true],
    ['const all = { key };', true],
  ])('on %s: accepted is %s', (line, accepted) => {
    expect(accepts(line)).toBe(accepted);
  });
});
