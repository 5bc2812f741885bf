/** The part of a profile that member events carry. */
import type { JsonObject } from '../../spec/event.ts';
import type { UserId } from '../../spec/identifiers.ts';
import type { Db } from '../storage/database.ts';
import { profilesOf } from '../storage/profiles.ts';

export interface MemberProfile {
  readonly displayname?: string;
  readonly avatar_url?: string;
}

export interface MemberProfiles {
  /** Users without a profile here get an empty one. */
  of(userId: UserId): Promise<MemberProfile>;
}

const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;

export const memberProfiles = (db: Db): MemberProfiles => ({
  of: async (userId) => {
    const fields = (await profilesOf(db, [userId])).get(userId) ?? {};
    const displayname = textOf(fields['displayname']);
    const avatarUrl = textOf(fields['avatar_url']);
    return {
      ...(displayname !== undefined && { displayname }),
      ...(avatarUrl !== undefined && { avatar_url: avatarUrl }),
    };
  },
});

/** Content of a member event; what `extra` says of the profile goes before the profile. */
export const memberContent = (
  membership: 'join' | 'invite' | 'knock',
  profile: MemberProfile,
  extra: JsonObject = {},
): JsonObject => ({ ...profile, ...extra, membership });
