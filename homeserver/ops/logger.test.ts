import { createLogger, prettyLine } from './logger.ts';

const collect = (format: 'json' | 'pretty') => {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  return { lines, logger: createLogger({ level: 'debug', format }, destination) };
};

describe('the logger', () => {
  it('hides secrets wherever they are', () => {
    const { lines, logger } = collect('json');
    logger.info({ password: 'hunter2', request: { access_token: 'hunter2' } }, 'x');
    expect(lines[0]).not.toContain('hunter2');
  });

  it('writes for people on demand', () => {
    const { lines, logger } = collect('pretty');
    logger.warn({ room: '!a', note: 'two words' }, 'a thing happened');
    logger.trace('not shown');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^[\d:.]{12} warn {2}a thing happened room=!a note="two words"\n$/);
  });

  it('shows an error with its stack', () => {
    const { lines, logger } = collect('pretty');
    logger.error({ err: new Error('broken') }, 'could not');
    expect(lines[0]).toMatch(/error could not: broken\n {4}Error: broken\n {8}at /);
  });

  it('passes on what is not its own', () => {
    expect(prettyLine('plain')).toBe('plain');
  });
});
