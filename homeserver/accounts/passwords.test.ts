import { seededRandom } from '../testing/seeded-random.ts';
import { Passwords } from './passwords.ts';

const policy = { minLength: 8, hashMemoryKib: 8_192, hashPasses: 2 };

describe('hashing', () => {
  it('of one address delays another by its turn, and not by its line', async () => {
    const passwords = new Passwords(policy, seededRandom('passwords'));
    const stored = await passwords.hash('right-password');
    const finished: string[] = [];
    const attempt = (name: string, ip: string, text = 'wrong') =>
      passwords.matches(text, stored, ip).then((right) => {
        finished.push(name);
        return right;
      });
    const flood = Array.from({ length: 40 }, () => attempt('flood', '203.0.113.1'));
    const owner = attempt('owner', '198.51.100.1', 'right-password');
    expect(await owner).toBe(true);
    // Without turns it would be all forty; some end while the owner's own is computed.
    expect(finished.filter((name) => name === 'flood').length).toBeLessThan(30);
    await Promise.all(flood);
  });

  it('turns away what is too much, whatever the password', async () => {
    const passwords = new Passwords(policy, seededRandom('passwords'));
    const stored = await passwords.hash('right-password');
    const outcomes = await Promise.allSettled(
      Array.from({ length: 80 }, () => passwords.matches('right-password', stored, '203.0.113.1')),
    );
    const refused = outcomes.filter(({ status }) => status === 'rejected');
    expect(refused).toHaveLength(80 - 3 - 50);
    expect((refused[0] as PromiseRejectedResult).reason).toMatchObject({
      errcode: 'M_LIMIT_EXCEEDED',
      status: 429,
    });
    expect(await passwords.matches('right-password', stored, '203.0.113.1')).toBe(true);
  });
});
