import { type Member, Membership } from './members.ts';

const member = (n: number): Member => ({ id: `member ${n}`, addresses: [] });
const members = (count: number): Member[] => Array.from({ length: count }, (_, n) => member(n));
const rooms = Array.from({ length: 20_000 }, (_, n) => `!room${n}:example.org`);

const owners = (membership: Membership): string[] =>
  rooms.map((room) => membership.ownerOf(room).id);

describe('Membership', () => {
  it.each([2, 3, 7, 16])('spreads rooms evenly over %i members', (count) => {
    const owned = new Map<string, number>();
    for (const id of owners(new Membership(1, members(count)))) {
      owned.set(id, (owned.get(id) ?? 0) + 1);
    }
    expect(owned.size).toBe(count);
    const fair = rooms.length / count;
    for (const number of owned.values()) expect(Math.abs(number - fair)).toBeLessThan(0.1 * fair);
  });

  it('moves only the rooms of who has gone, evenly to those who are left', () => {
    const before = owners(new Membership(1, members(5)));
    const left = members(5).filter(({ id }) => id !== 'member 2');
    const after = owners(new Membership(2, left));
    const moved = new Map<string, number>();
    for (const [at, id] of before.entries()) {
      if (after[at] === id) continue;
      expect(id).toBe('member 2');
      moved.set(after[at] as string, (moved.get(after[at] as string) ?? 0) + 1);
    }
    expect(moved.size).toBe(4);
    for (const number of moved.values()) expect(number).toBeGreaterThan(800);
  });

  it('gives a newcomer its share, and nobody else anything', () => {
    const before = owners(new Membership(1, members(4)));
    const after = owners(new Membership(2, members(5)));
    const moved = after.filter((id, at) => id !== before[at]);
    expect(new Set(moved)).toEqual(new Set(['member 4']));
    expect(Math.abs(moved.length - rooms.length / 5)).toBeLessThan(400);
  });

  it('says the same wherever it is made, in whatever order', () => {
    const one = new Membership(1, members(6));
    const other = new Membership(1, members(6).reverse());
    expect(owners(other)).toEqual(owners(one));
    expect(other.members).toEqual(one.members);
    expect(one.get('member 3')).toEqual(member(3));
    expect(one.get('stranger')).toBeUndefined();
  });
});
