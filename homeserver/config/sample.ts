/** `config.sample.yaml`, written from the schema: every key, its description and its default. */
import { stringify } from 'yaml';
import { isGroup } from './defaults.ts';
import { variableOf } from './environment.ts';
import type { FieldSchema } from './fields.ts';
import { configSchema } from './schema.ts';

const width = 96;

const wrap = (text: string, indent: string): string[] => {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent.length + line.length + word.length + 3 > width) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((each) => `${indent}# ${each}`);
};

const comment = (schema: FieldSchema, path: readonly string[], indent: string): string[] => {
  const values = schema.enum === undefined ? '' : ` One of ${schema.enum.join(', ')}.`;
  return wrap(`${schema.description ?? ''}${values} (${variableOf(path)})`, indent);
};

const sampleOf = (
  properties: Readonly<Record<string, FieldSchema>>,
  path: readonly string[],
): string[] => {
  const indent = '  '.repeat(path.length);
  return Object.entries(properties).flatMap(([key, schema]) => {
    const here = [...path, key];
    if (isGroup(schema)) {
      return [
        '',
        ...wrap(schema.description ?? '', indent),
        `${indent}${key}:`,
        ...sampleOf(schema.properties, here),
      ];
    }
    const yaml = stringify({ [key]: schema.default }, { lineWidth: 0 }).trimEnd();
    const lines = yaml.split('\n').map((line) => `${indent}#${line}`);
    return ['', ...comment(schema, here, indent), ...lines];
  });
};

const header = [
  '# Configuration of Parley. Every key is optional; what stands behind # is its default. To change',
  '# one, remove that # and edit the value. In brackets, the environment variable for the same key:',
  '# it wins over this file, takes lists as JSON, and with _FILE behind it names a file to read.',
];

/** The text of the sample file. */
export const sampleConfig = (): string => {
  const { properties = {} } = configSchema as FieldSchema;
  const lines = [...header, ...sampleOf(properties, [])];
  // A key directly below its group's heading needs no empty line between them.
  const kept = lines.filter((line, at) => line !== '' || !lines[at - 1]?.endsWith(':'));
  return `${kept.join('\n')}\n`;
};
