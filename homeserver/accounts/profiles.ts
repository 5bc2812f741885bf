/**
 * Profiles of people here and, asked of their own servers, elsewhere.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#profiles
 */
import { lenientCanonicalJson } from '../../spec/canonical-json.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonValue } from '../../spec/event.ts';
import {
  fitsInBytes,
  isCommonNamespacedId,
  MAX_IDENTIFIER_BYTES,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../spec/identifiers.ts';
import { knownAsker } from '../known-asker.ts';
import type { Database } from '../storage/database.ts';
import {
  deleteProfileField,
  type ProfileFields,
  profilesOf,
  putProfileField,
} from '../storage/profiles.ts';
import { existingUsers, lockUser } from '../storage/users.ts';

export type { ProfileFields } from '../storage/profiles.ts';

/** What member events and presence carry of a profile. */
export interface MemberProfile {
  readonly displayname?: string;
  readonly avatar_url?: string;
}

/** Told when a display name or avatar changed, so that rooms and presence show it. */
export interface ProfileChangeListener {
  /** After the commit; resolves when the change may be acknowledged. */
  profileChanged(userId: UserId, profile: MemberProfile): Promise<void>;
}

/** Profiles of other servers' users. */
export interface RemoteProfiles {
  /** `undefined` when there is no such user; throws a Matrix error when it cannot be told. */
  profile(userId: UserId, asker: UserId): Promise<ProfileFields | undefined>;
}

export interface ProfilesOptions {
  readonly database: Database;
  readonly serverName: ServerName;
  readonly listeners: readonly ProfileChangeListener[];
  /** Without it, only local users have profiles. */
  readonly remote?: RemoteProfiles | undefined;
}

const MAX_PROFILE_BYTES = 65_536;
const MAX_DISPLAY_NAME_BYTES = 1_024;
const MAX_AVATAR_URL_BYTES = 1_000;
const MXC_URI = /^mxc:\/\/[^/\s]+\/[A-Za-z0-9_-]+$/;

/** Fields that are text, and whose empty text means the field is not set. */
const TEXT_FIELDS = new Set(['displayname', 'avatar_url']);

const checkName = (field: string): void => {
  if (!fitsInBytes(field, MAX_IDENTIFIER_BYTES)) {
    throw matrixError('M_KEY_TOO_LARGE', `A profile key has at most ${MAX_IDENTIFIER_BYTES} bytes`);
  }
  if (!isCommonNamespacedId(field)) {
    throw matrixError('M_INVALID_PARAM', 'A profile key has the characters a-z 0-9 . _ -');
  }
};

const checkValue = (field: string, value: JsonValue): void => {
  if (field === 'm.tz' || TEXT_FIELDS.has(field)) {
    if (typeof value !== 'string') throw matrixError('M_BAD_JSON', `'${field}' must be a string`);
  }
  if (field === 'displayname' && !fitsInBytes(value as string, MAX_DISPLAY_NAME_BYTES)) {
    throw matrixError('M_INVALID_PARAM', `A name has at most ${MAX_DISPLAY_NAME_BYTES} bytes`);
  }
  if (field === 'avatar_url' && value !== '') {
    if (!MXC_URI.test(value as string) || !fitsInBytes(value as string, MAX_AVATAR_URL_BYTES)) {
      throw matrixError('M_INVALID_PARAM', "'avatar_url' must be an mxc:// URI");
    }
  }
};

/** A field by a name that others chose: `constructor` is no field of a profile without it. */
export const profileField = (profile: ProfileFields, field: string): JsonValue | undefined =>
  Object.hasOwn(profile, field) ? profile[field] : undefined;

/** The part of a profile that member events carry. */
export const memberProfile = ({ displayname, avatar_url }: ProfileFields): MemberProfile => ({
  ...(typeof displayname === 'string' ? { displayname } : {}),
  ...(typeof avatar_url === 'string' ? { avatar_url } : {}),
});

export class Profiles {
  readonly #options: ProfilesOptions;
  readonly #listeners: ProfileChangeListener[];

  constructor(options: ProfilesOptions) {
    this.#options = options;
    this.#listeners = [...options.listeners];
  }

  /** For listeners that are built after the accounts. */
  onChange(listener: ProfileChangeListener): void {
    this.#listeners.push(listener);
  }

  /** Of local users; those without any field are absent. */
  ofLocalUsers(userIds: readonly UserId[]): Promise<Map<UserId, ProfileFields>> {
    return profilesOf(this.#options.database, userIds);
  }

  /** What a local user's member events are to carry. */
  async memberProfileOf(userId: UserId): Promise<MemberProfile> {
    return memberProfile((await this.ofLocalUsers([userId])).get(userId) ?? {});
  }

  /**
   * Of anybody; `undefined` when there is no such user.
   * @param asker for whom another server is asked; nobody unknown makes us do so
   * @throws MatrixError M_MISSING_TOKEN without an asker
   */
  async of(userId: UserId, asker?: UserId): Promise<ProfileFields | undefined> {
    const { database, serverName, remote } = this.#options;
    if (serverNameOf(userId) !== serverName) return remote?.profile(userId, knownAsker(asker));
    const profile = (await profilesOf(database, [userId])).get(userId);
    if (profile !== undefined) return profile;
    return (await existingUsers(database, [userId])).has(userId) ? {} : undefined;
  }

  /**
   * Sets a field of a local user. Throws `M_INVALID_PARAM`, `M_BAD_JSON`, `M_KEY_TOO_LARGE`, or
   * `M_PROFILE_TOO_LARGE` when the whole profile would pass 64 KiB.
   */
  async set(userId: UserId, field: string, value: JsonValue): Promise<void> {
    checkName(field);
    checkValue(field, value);
    if (value === '' && TEXT_FIELDS.has(field)) return this.remove(userId, field);
    await this.#change(userId, field, (profile) => ({ ...profile, [field]: value }));
  }

  /** Removes a field; one that is not there is no error. Throws `M_INVALID_PARAM`. */
  async remove(userId: UserId, field: string): Promise<void> {
    checkName(field);
    await this.#change(userId, field, ({ [field]: _, ...rest }) => rest);
  }

  async #change(
    userId: UserId,
    field: string,
    change: (profile: ProfileFields) => ProfileFields,
  ): Promise<void> {
    const profile = await this.#options.database.transaction(async (tx) => {
      await lockUser(tx, userId);
      const before = (await profilesOf(tx, [userId])).get(userId) ?? {};
      const after = change(before);
      const value = profileField(after, field);
      if (value === undefined) {
        await deleteProfileField(tx, userId, field);
      } else {
        if (!fitsInBytes(lenientCanonicalJson(after), MAX_PROFILE_BYTES)) {
          throw matrixError('M_PROFILE_TOO_LARGE', `A profile has at most 64 KiB`);
        }
        await putProfileField(tx, userId, field, value);
      }
      return profileField(before, field) === value ? undefined : after;
    });
    if (profile === undefined || !TEXT_FIELDS.has(field)) return;
    for (const listener of this.#listeners) {
      await listener.profileChanged(userId, memberProfile(profile));
    }
  }
}
