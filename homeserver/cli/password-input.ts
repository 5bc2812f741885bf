/** Where the password of a command comes from. */
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { StartFailure } from '../ops/start-failure.ts';
import type { Random } from '../random.ts';
import type { OptionValues } from './command.ts';

const generatedBytes = 15;

const fromStandardInput = async (): Promise<string> => {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk;
  return text.replace(/\r?\n$/, '');
};

/** Asks without showing what is typed. */
const ask = async (question: string): Promise<string> => {
  process.stderr.write(question);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  try {
    return await lines.question('');
  } finally {
    lines.close();
    process.stderr.write('\n');
  }
};

/** From an option, standard input, a person at a terminal, or made up where there is none of these. */
export const choosePassword = async (
  options: OptionValues,
  random: Random,
): Promise<{ password: string; generated: boolean }> => {
  const given = options['password'];
  if (typeof given === 'string') return { password: given, generated: false };
  if (options['password-stdin'] === true) {
    return { password: await fromStandardInput(), generated: false };
  }
  if (!process.stdin.isTTY) {
    return { password: random.bytes(generatedBytes).toString('base64url'), generated: true };
  }
  const password = await ask('Password: ');
  if (password !== (await ask('Once more: '))) {
    throw new StartFailure('usage', 'The two passwords differ.');
  }
  return { password, generated: false };
};
