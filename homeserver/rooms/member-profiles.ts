/** The part of a profile that member events carry. */
import type { JsonObject } from '../../spec/event.ts';
import type { UserId } from '../../spec/identifiers.ts';
import { type MemberProfile, memberProfile } from '../accounts/profiles.ts';
import type { Db } from '../storage/database.ts';
import { profilesOf } from '../storage/profiles.ts';

export type { MemberProfile } from '../accounts/profiles.ts';

export interface MemberProfiles {
  /** Users without a profile here get an empty one. */
  of(userId: UserId): Promise<MemberProfile>;
}

export const memberProfiles = (db: Db): MemberProfiles => ({
  of: async (userId) => memberProfile((await profilesOf(db, [userId])).get(userId) ?? {}),
});

/** Content of a member event; what `extra` says of the profile goes before the profile. */
export const memberContent = (
  membership: 'join' | 'invite' | 'knock',
  profile: MemberProfile,
  extra: JsonObject = {},
): JsonObject => ({ ...profile, ...extra, membership });
