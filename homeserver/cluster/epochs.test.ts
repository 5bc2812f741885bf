import { Epochs } from './epochs.ts';
import { Membership } from './members.ts';

const epoch = (number: number, ...ids: readonly string[]) =>
  new Membership(
    number,
    ids.map((id) => ({ id, addresses: [] })),
  );

describe('whether a member has owned a key since an epoch', () => {
  it('is so while no epoch has given it to another', () => {
    const epochs = new Epochs();
    expect(epochs.hasOwned('a', 'key', 0)).toBe(false);
    epochs.begin(epoch(4, 'a'));
    expect(epochs.hasOwned('a', 'key', 4)).toBe(true);
    expect(epochs.hasOwned('b', 'key', 4)).toBe(false);
    epochs.begin(epoch(5, 'b'));
    expect(epochs.hasOwned('a', 'key', 4)).toBe(false);
    expect(epochs.hasOwned('b', 'key', 4)).toBe(false);
    epochs.begin(epoch(6, 'a'));
    // It has the key again, and knows nothing of what the other has done with it.
    expect(epochs.hasOwned('a', 'key', 4)).toBe(false);
    expect(epochs.hasOwned('a', 'key', 5)).toBe(false);
    expect(epochs.hasOwned('a', 'key', 6)).toBe(true);
    epochs.forget();
    expect(epochs.hasOwned('a', 'key', 6)).toBe(false);
    expect(epochs.newest).toBeUndefined();
  });

  it('is not known of epochs long ago', () => {
    const epochs = new Epochs();
    for (let number = 1; number <= 100; number += 1) epochs.begin(epoch(number, 'a'));
    expect(epochs.hasOwned('a', 'key', 90)).toBe(true);
    expect(epochs.hasOwned('a', 'key', 10)).toBe(false);
  });
});
