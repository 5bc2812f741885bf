/** What one send costs when nobody else sends, beyond the commit it cannot do without. */
import { messageContent } from '../against-ceiling.ts';
import { ms } from '../format.ts';
import { HttpConnection } from '../http-connection.ts';
import { closedLoop, summarise } from '../measure.ts';
import { expectOk } from '../person.ts';
import type { Scenario } from '../scenario.ts';

const ROUNDS = 2;
const BARE_COMMITS = 200;

export const sequential: Scenario = {
  name: 'sequential',
  measures: 'one person sends one message after another; bare commits are timed in turns with it',
  bars: [{ of: 'p50 beyond one bare commit', detail: 'beyondCommitMs', atMost: 2, unit: 'ms' }],
  compared: [{ detail: 'p50Ms', better: 'lower' }],
  run: async (world) => {
    const [person] = await world.people(1);
    const roomId = await person!.createRoom({ preset: 'private_chat' });
    const ceilingConnection = new HttpConnection(world.ceiling.url);
    const commitsMs: number[] = [];
    const sendsMs: number[] = [];
    const ceilingSendsMs: number[] = [];
    const loop = { workers: 1, warmUpSeconds: 0.5, seconds: world.seconds / (2 * ROUNDS) };
    let count = 0;
    for (let round = 0; round < ROUNDS; round++) {
      commitsMs.push(...(await world.ceiling.bareCommitsMs(BARE_COMMITS)));
      const ceilingSends = await closedLoop({
        ...loop,
        work: async () => {
          const body = messageContent(`${++count}`);
          await expectOk(ceilingConnection, { method: 'PUT', path: '/send', body });
        },
      });
      ceilingSendsMs.push(...ceilingSends.latenciesMs);
      const sends = await closedLoop({
        ...loop,
        work: async () => {
          await person!.send(roomId, messageContent(`${++count}`));
        },
      });
      sendsMs.push(...sends.latenciesMs);
    }
    ceilingConnection.close();

    const send = summarise(sendsMs);
    const commit = summarise(commitsMs);
    const ceilingSend = summarise(ceilingSendsMs);
    const beyond = send.p50 - commit.p50;
    return {
      figure:
        `p50 ${ms(send.p50)}, p95 ${ms(send.p95)}; bare commit p50 ${ms(commit.p50)}, ` +
        `ceiling send p50 ${ms(ceilingSend.p50)}; ${ms(beyond)} beyond the commit`,
      details: {
        p50Ms: send.p50,
        p95Ms: send.p95,
        bareCommitP50Ms: commit.p50,
        bareCommitP95Ms: commit.p95,
        ceilingSendP50Ms: ceilingSend.p50,
        beyondCommitMs: beyond,
      },
    };
  },
};
