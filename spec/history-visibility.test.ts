import {
  type HistoryVisibility,
  historyVisibilityOf,
  type Membership,
  mayServerSee,
  mayUserSee,
} from './history-visibility.ts';

it('takes a missing or unknown setting as shared', () => {
  expect(historyVisibilityOf(undefined)).toBe('shared');
  expect(historyVisibilityOf({})).toBe('shared');
  expect(historyVisibilityOf({ history_visibility: 'secret' })).toBe('shared');
  expect(historyVisibilityOf({ history_visibility: ['joined'] })).toBe('shared');
  expect(historyVisibilityOf({ history_visibility: 'joined' })).toBe('joined');
});

describe('what a user may see', () => {
  const settings: HistoryVisibility[] = ['world_readable', 'shared', 'invited', 'joined'];
  const see = (membership: Membership, joinedLater: boolean) =>
    settings.filter((visibility) =>
      mayUserSee({ before: { visibility, membership }, joinedLater }),
    );

  it('a stranger sees only world-readable events', () => {
    expect(see(undefined, false)).toEqual(['world_readable']);
    expect(see('knock', false)).toEqual(['world_readable']);
  });

  it('a member sees everything', () => {
    expect(see('join', false)).toEqual(settings);
  });

  it('someone who joined later sees the shared history', () => {
    expect(see(undefined, true)).toEqual(['world_readable', 'shared']);
    expect(see('leave', true)).toEqual(['world_readable', 'shared']);
    expect(see('ban', true)).toEqual(['world_readable', 'shared']);
  });

  it('an invited user sees on from the invitation where the setting says so', () => {
    expect(see('invite', false)).toEqual(['world_readable', 'invited']);
    expect(see('invite', true)).toEqual(['world_readable', 'shared', 'invited']);
  });

  it('someone who left sees nothing that came after', () => {
    expect(see('leave', false)).toEqual(['world_readable']);
  });

  it('sees a change of the setting if the old or the new one allows it', () => {
    const open = { visibility: 'world_readable', membership: undefined } as const;
    const closed = { visibility: 'joined', membership: undefined } as const;
    expect(mayUserSee({ before: open, after: closed, joinedLater: false })).toBe(true);
    expect(mayUserSee({ before: closed, after: open, joinedLater: false })).toBe(true);
    expect(mayUserSee({ before: closed, after: closed, joinedLater: false })).toBe(false);
  });

  it('sees their own joining and leaving', () => {
    const out = { visibility: 'joined', membership: 'leave' } as const;
    const inside = { visibility: 'joined', membership: 'join' } as const;
    expect(mayUserSee({ before: out, after: inside, joinedLater: false })).toBe(true);
    expect(mayUserSee({ before: inside, after: out, joinedLater: false })).toBe(true);
  });
});

describe('what a server may see', () => {
  const nobody = { hasJoinedUser: false, hasInvitedUser: false };

  it('sees what any of its users may', () => {
    const before = { visibility: 'joined', hasJoinedUser: true, hasInvitedUser: true } as const;
    expect(mayServerSee({ before, joinedLater: false })).toBe(true);
    expect(
      mayServerSee({
        before: { ...nobody, visibility: 'invited', hasInvitedUser: true },
        joinedLater: false,
      }),
    ).toBe(true);
  });

  it('does not see what none of its users may', () => {
    expect(mayServerSee({ before: { ...nobody, visibility: 'shared' }, joinedLater: false })).toBe(
      false,
    );
    expect(
      mayServerSee({
        before: { ...nobody, visibility: 'joined', hasInvitedUser: true },
        joinedLater: true,
      }),
    ).toBe(false);
  });

  it('sees shared history once one of its users joined', () => {
    expect(mayServerSee({ before: { ...nobody, visibility: 'shared' }, joinedLater: true })).toBe(
      true,
    );
  });

  it('sees the event with which its first user joined', () => {
    expect(
      mayServerSee({
        before: { ...nobody, visibility: 'joined' },
        after: { visibility: 'joined', hasJoinedUser: true, hasInvitedUser: false },
        joinedLater: false,
      }),
    ).toBe(true);
  });
});
