/**
 * The power levels of a room carried over to one of another version.
 * https://spec.matrix.org/v1.19/client-server-api/#room-upgrades
 */
import { emptyRecord } from '../../spec/empty-record.ts';
import type { JsonObject, JsonValue } from '../../spec/event.ts';
import type { UserId } from '../../spec/identifiers.ts';
import { LEVEL_DEFAULTS, readLevel } from '../../spec/power-levels.ts';
import { type PowerLevelRules, type RoomVersionRules, rulesOf } from '../../spec/room-versions.ts';
import { initialPowerLevels } from './initial-power-levels.ts';

export interface UpgradedPowerLevels {
  readonly rules: RoomVersionRules;
  /** Of the old room's power levels event, if it has one. */
  readonly content: JsonObject | undefined;
  /** Those who stood above all levels in the old room. */
  readonly oldCreators: readonly string[];
  /** Who upgrades. */
  readonly creator: UserId;
  readonly additionalCreators: readonly UserId[];
}

const adminLevel = 100;
const creatorsOnlyLevel = 150;
/** Old rooms may hold levels written as text, or fractions, which newer versions refuse. */
const lenient = rulesOf('1')?.powerLevels as PowerLevelRules;

/**
 * Where creators stand above all levels they are not listed, and only they may end the room. Who
 * stood above all levels before, and does so no more, becomes an administrator.
 */
export const powerLevelsForUpgrade = (upgrade: UpgradedPowerLevels): JsonObject => {
  const { rules, content, oldCreators, creator, additionalCreators } = upgrade;
  if (content === undefined) {
    const noOverride = { openInvites: true, override: undefined, leavesOutCreators: false };
    return initialPowerLevels({ rules, creator, trusted: [], ...noOverride });
  }
  const result: JsonObject = { ...content };
  for (const name of [...Object.keys(LEVEL_DEFAULTS)]) {
    const level = readLevel(content[name], lenient);
    if (level === undefined) delete result[name];
    else result[name] = level;
  }
  const users = levelsIn(content['users']);
  for (const user of oldCreators) users[user] = adminLevel;
  const events = levelsIn(content['events']);
  if (rules.powerLevels.creatorsAreInfinite) {
    for (const user of [creator, ...additionalCreators]) delete users[user];
    const stateDefault = Number(result['state_default'] ?? LEVEL_DEFAULTS.state_default);
    events['m.room.tombstone'] = Math.max(
      Number(events['m.room.tombstone'] ?? 0),
      creatorsOnlyLevel,
      stateDefault + 1,
    );
  }
  result['users'] = users;
  result['events'] = events;
  if (content['notifications'] !== undefined) {
    result['notifications'] = levelsIn(content['notifications']);
  }
  return result;
};

const levelsIn = (value: JsonValue | undefined): JsonObject => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {};
  const levels = emptyRecord<JsonValue>();
  for (const [key, given] of Object.entries(value)) {
    const level = readLevel(given, lenient);
    if (level !== undefined) levels[key] = level;
  }
  return levels;
};
