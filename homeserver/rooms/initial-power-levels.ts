/**
 * The power levels a new room begins with.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom
 */
import type { JsonObject } from '../../spec/event.ts';
import type { UserId } from '../../spec/identifiers.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';

const adminLevel = 100;
const stateLevel = 50;
/** Where creators stand above all levels, only they may end the room. */
const creatorsOnlyLevel = 150;

export interface InitialPowerLevels {
  readonly rules: RoomVersionRules;
  readonly creator: UserId;
  /** Users who are given the same power as the creator, where that is a matter of power levels. */
  readonly trusted: readonly UserId[];
  /** Whether everybody may invite. */
  readonly openInvites: boolean;
  /** Replaces what it names, property by property. */
  readonly override: JsonObject | undefined;
  /**
   * Whether creators, who stand above all levels, are left out of the levels in `override`: whoever
   * asks for no room version need not know of a version where they must not be there.
   */
  readonly leavesOutCreators: boolean;
}

export const initialPowerLevels = ({
  rules,
  creator,
  trusted,
  openInvites,
  override,
  leavesOutCreators,
}: InitialPowerLevels): JsonObject => {
  const infinite = rules.powerLevels.creatorsAreInfinite;
  const users: JsonObject = infinite
    ? {}
    : Object.fromEntries([creator, ...trusted].map((user) => [user, adminLevel]));
  return {
    users,
    users_default: 0,
    events: {
      'm.room.name': stateLevel,
      'm.room.avatar': stateLevel,
      'm.room.canonical_alias': stateLevel,
      'm.room.power_levels': adminLevel,
      'm.room.history_visibility': adminLevel,
      'm.room.encryption': adminLevel,
      'm.room.server_acl': adminLevel,
      'm.room.tombstone': infinite ? creatorsOnlyLevel : adminLevel,
    },
    events_default: 0,
    state_default: stateLevel,
    ban: stateLevel,
    kick: stateLevel,
    redact: stateLevel,
    invite: openInvites ? 0 : stateLevel,
    notifications: { room: stateLevel },
    ...(infinite && leavesOutCreators ? withoutUsers(override, [creator, ...trusted]) : override),
  };
};

const withoutUsers = (override: JsonObject | undefined, users: readonly UserId[]) => {
  const levels = override?.['users'];
  if (typeof levels !== 'object' || levels === null || Array.isArray(levels)) return override;
  const others = Object.entries(levels).filter(([user]) => !users.includes(user as UserId));
  return { ...override, users: Object.fromEntries(others) };
};
