import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { withDefaults } from './defaults.ts';
import type { FieldSchema } from './fields.ts';
import { sampleConfig } from './sample.ts';
import { configSchema } from './schema.ts';

describe('config.sample.yaml', () => {
  it('is what the schema says; "npm run generate" writes it again', () => {
    expect(readFileSync('config.sample.yaml', 'utf8')).toBe(sampleConfig());
  });

  it('holds the defaults, once every key is uncommented', () => {
    const everything = sampleConfig().replaceAll(/^( *)#(?! \S)/gm, '$1');
    const schema = configSchema as FieldSchema;
    expect(withDefaults(schema, parse(everything))).toEqual(withDefaults(schema, undefined));
    expect(Object.keys(parse(everything) as object)).toEqual(Object.keys(schema.properties ?? {}));
  });
});
