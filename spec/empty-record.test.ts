import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
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
  const folder = mkdtempSync(join(tmpdir(), 'parley-lint-'));
  const plugins = [resolve('lint/client-keyed.grit')];
  writeFileSync(join(folder, 'biome.json'), JSON.stringify({ plugins }));
  afterAll(() => rmSync(folder, { recursive: true }));

  const complains = (line: string): boolean => {
    const text = `export const f = (key: string, o: Record<string, object>) => {\n  ${line}\n  return [key, o, all];\n};\n`;
    writeFileSync(join(folder, 'sample.ts'), text);
    try {
      execFileSync(resolve('node_modules/.bin/biome'), ['lint'], { cwd: folder, stdio: 'pipe' });
      return false;
    } catch (error) {
      return String((error as { stderr: Buffer }).stderr).includes('emptyRecord()');
    }
  };

  it.each([
    ['const all: Record<string, number> = {};', true],
    ['const all: { [key: string]: number } = {};', true],
    ['const all = o[key] ?? {};', true],
    ['const all = new Map<string, number>();', false],
    ['const all = { key };', false],
  ])('on %s: complains is %s', (line, expected) => {
    expect(complains(line)).toBe(expected);
  });
});
