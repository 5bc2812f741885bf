import { isRoomVersionId } from './identifiers.ts';
import {
  DEFAULT_ROOM_VERSION,
  KNOWN_ROOM_VERSIONS,
  type RoomVersionRules,
  rulesOf,
} from './room-versions.ts';

/** The versions for which something holds, as text: `8-12`. */
const versionsWhere = (holds: (rules: RoomVersionRules) => boolean): string => {
  const versions = KNOWN_ROOM_VERSIONS.filter((version) =>
    holds(rulesOf(version) as RoomVersionRules),
  ).map(Number);
  const isRange = versions.every((version, i) => i === 0 || version === (versions[i - 1] ?? 0) + 1);
  return isRange && versions.length > 0 ? `${versions[0]}-${versions.at(-1)}` : versions.join();
};

it('all stable versions are known by their names', () => {
  expect(KNOWN_ROOM_VERSIONS).toEqual(Array.from({ length: 12 }, (_, i) => String(i + 1)));
  for (const version of KNOWN_ROOM_VERSIONS) {
    expect(rulesOf(version)?.version).toBe(version);
    expect(isRoomVersionId(version)).toBe(true);
  }
  expect(rulesOf('13')).toBeUndefined();
  expect(rulesOf('constructor')).toBeUndefined();
  expect(DEFAULT_ROOM_VERSION).toBe('12');
});

// Each row is a sentence of the page of the version that starts or ends its range.
it.each<[string, string, (rules: RoomVersionRules) => boolean]>([
  ['1-2', 'event ids have a domain', (r) => r.eventIdFormat === 'domain'],
  ['3-3', 'event ids are in standard base64', (r) => r.eventIdFormat === 'base64'],
  ['4-12', 'event ids are in URL-safe base64', (r) => r.eventIdFormat === 'url-safe-base64'],
  ['1-2', 'references carry hashes', (r) => r.eventReferences === 'pairs'],
  ['1-2', 'the server in the event id signs', (r) => r.eventIdServerSigns],
  ['1-2', 'redactions are authorised by rule', (r) => r.authoriseRedactions],
  ['1-1', 'state resolution is the first', (r) => r.stateResolution === 'v1'],
  ['2-11', 'state resolution is the second', (r) => r.stateResolution === 'v2'],
  ['12-12', 'state resolution is the second, amended', (r) => r.stateResolution === 'v2.1'],
  ['5-12', 'keys must be valid at the time', (r) => r.enforceKeyValidity],
  ['6-12', 'canonical JSON is enforced', (r) => r.strictCanonicalJson],
  ['1-5', 'aliases are authorised apart', (r) => r.specialCaseAliases],
  ['1-5', 'aliases survive redaction', (r) => 'm.room.aliases' in r.redaction.keepContent],
  ['1-5', 'levels may be floats', (r) => r.powerLevels.acceptFloats],
  ['6-12', 'notification levels are authorised', (r) => r.powerLevels.authoriseNotifications],
  ['7-12', 'there is knocking', (r) => r.knocking],
  ['8-12', 'joins may be restricted', (r) => r.restrictedJoins],
  [
    '8-12',
    'allow survives redaction',
    (r) => r.redaction.keepContent['m.room.join_rules']?.includes('allow') === true,
  ],
  [
    '9-12',
    'the authorising user survives redaction',
    (r) =>
      r.redaction.keepContent['m.room.member']?.includes('join_authorised_via_users_server') ===
      true,
  ],
  ['10-12', 'knocks and restrictions go together', (r) => r.knockRestricted],
  ['1-9', 'levels may be strings', (r) => r.powerLevels.acceptStrings],
  ['10-12', 'levels of the wrong type are refused', (r) => r.powerLevels.strictTypes],
  ['1-10', 'the creator is named in the content', (r) => r.creatorInContent],
  ['1-10', 'origin survives redaction', (r) => r.redaction.keepTopLevel.includes('origin')],
  ['11-12', 'redacts is in the content', (r) => r.redaction.redactsInContent],
  [
    '11-12',
    'create events keep everything',
    (r) => r.redaction.keepContent['m.room.create'] === 'all',
  ],
  ['12-12', 'creators stand above all', (r) => r.powerLevels.creatorsAreInfinite],
  ['12-12', 'there may be more creators', (r) => r.additionalCreators],
  ['12-12', 'the room id is made of the create event', (r) => r.roomIdIsCreateHash],
])('in versions %s %s', (range, _what, holds) => {
  expect(versionsWhere(holds)).toBe(range);
});
