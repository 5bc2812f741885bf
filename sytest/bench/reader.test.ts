import { NumberedMessages } from './reader.ts';

describe('NumberedMessages', () => {
  it('finds its own messages in an answer, and none of another run', () => {
    const [mine, others] = [new NumberedMessages(), new NumberedMessages()];
    const answer = JSON.stringify([mine.content(3), others.content(4), mine.content(12)]);
    expect(mine.in(answer)).toEqual([3, 12]);
    expect(others.in(answer)).toEqual([4]);
  });
});
