import { EventEmitter } from 'node:events';
import { FakeClock } from '../testing/fake-clock.ts';
import { watchForBugs } from './bug-watch.ts';

const watched = () => {
  const source = new EventEmitter();
  const clock = new FakeClock();
  const lines: string[] = [];
  const logger = {
    error: () => lines.push('error'),
    fatal: () => lines.push('fatal'),
  };
  let stopped = false;
  const done = watchForBugs({ logger: logger as never, clock, source }).then(() => {
    stopped = true;
  });
  const hasStopped = async () => {
    await Promise.resolve();
    return stopped;
  };
  return { source, clock, lines, hasStopped, done };
};

describe('a failure nobody caught', () => {
  it('in work let go is logged, and everybody else goes on', async () => {
    const { source, clock, lines, hasStopped } = watched();
    for (let minute = 0; minute < 10; minute++) {
      for (let n = 0; n < 20; n++) source.emit('unhandledRejection', new Error('let go'));
      clock.advance(60_001);
    }
    expect(await hasStopped()).toBe(false);
    expect(new Set(lines)).toEqual(new Set(['error']));
    expect(lines).toHaveLength(200);
  });

  it('again and again stops the server', async () => {
    const { source, lines, done } = watched();
    for (let n = 0; n < 30; n++) source.emit('unhandledRejection', new Error('let go'));
    await done;
    expect(lines.filter((line) => line === 'fatal')).toHaveLength(1);
  });

  it('in the middle of a change stops it at once', async () => {
    const { source, lines, done } = watched();
    source.emit('uncaughtException', new Error('half way'));
    await done;
    expect(lines).toEqual(['fatal']);
  });
});
