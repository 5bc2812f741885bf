/**
 * What differs between room versions, as one table of data. Logic asks about rules, never about
 * version numbers; each version spreads the previous one and names only what it changed.
 *
 * Specification: https://spec.matrix.org/v1.19/rooms/
 */
import type { EventIdFormat } from './identifiers.ts';

/** How a redaction is carried out: https://spec.matrix.org/v1.19/client-server-api/#redactions */
export interface RedactionRules {
  /** Top-level keys that survive. */
  readonly keepTopLevel: readonly string[];
  /** Content keys that survive, by event type; `all` keeps the whole content. */
  readonly keepContent: Readonly<Record<string, readonly string[] | 'all'>>;
  /** Membership events keep `third_party_invite.signed`. */
  readonly keepThirdPartyInviteSigned: boolean;
  /** `redacts` of a redaction is in its content, not at the top level. */
  readonly redactsInContent: boolean;
}

/** How the values of `m.room.power_levels` are read. */
export interface PowerLevelRules {
  /** Integers written as strings are read as such. */
  readonly acceptStrings: boolean;
  /** Floats are truncated; otherwise they never get past the event format. */
  readonly acceptFloats: boolean;
  /** Wrongly typed values make the event unauthorised (rules 9.1 and 9.2 of version 10). */
  readonly strictTypes: boolean;
  /** Changes of `notifications` are authorised like those of `events`. */
  readonly authoriseNotifications: boolean;
  /** Room creators stand above every level, and may not be listed in `users`. */
  readonly creatorsAreInfinite: boolean;
}

export interface RoomVersionRules {
  readonly version: string;
  readonly disposition: 'stable' | 'unstable';

  // Event format
  readonly eventIdFormat: EventIdFormat;
  /** How `prev_events` and `auth_events` are written: `[id, hashes]` pairs or plain ids. */
  readonly eventReferences: 'pairs' | 'ids';
  /** Numbers are integers in the safe range, as canonical JSON demands. */
  readonly strictCanonicalJson: boolean;
  /** The room id is the create event's id with another sigil; the create event has none. */
  readonly roomIdIsCreateHash: boolean;
  readonly redaction: RedactionRules;

  // Signatures
  /** The server named in the event id must sign too. */
  readonly eventIdServerSigns: boolean;
  /** A signing key counts only if it was valid at the event's `origin_server_ts`. */
  readonly enforceKeyValidity: boolean;

  // Authorisation
  /** Aliases events are authorised by the domain in their state key alone. */
  readonly specialCaseAliases: boolean;
  /** Redactions are authorised by the redact level or the domains of the event ids. */
  readonly authoriseRedactions: boolean;
  /** The create event must name its `creator`; otherwise the creator is its sender. */
  readonly creatorInContent: boolean;
  /** The create event may list `additional_creators`. */
  readonly additionalCreators: boolean;
  readonly powerLevels: PowerLevelRules;
  readonly knocking: boolean;
  readonly restrictedJoins: boolean;
  readonly knockRestricted: boolean;

  readonly stateResolution: 'v1' | 'v2' | 'v2.1';
}

const V1: RoomVersionRules = {
  version: '1',
  disposition: 'stable',
  eventIdFormat: 'domain',
  eventReferences: 'pairs',
  strictCanonicalJson: false,
  roomIdIsCreateHash: false,
  redaction: {
    keepTopLevel: [
      'event_id',
      'type',
      'room_id',
      'sender',
      'state_key',
      'content',
      'hashes',
      'signatures',
      'depth',
      'prev_events',
      'prev_state',
      'auth_events',
      'origin',
      'origin_server_ts',
      'membership',
    ],
    keepContent: {
      'm.room.member': ['membership'],
      'm.room.create': ['creator'],
      'm.room.join_rules': ['join_rule'],
      'm.room.power_levels': [
        'ban',
        'events',
        'events_default',
        'kick',
        'redact',
        'state_default',
        'users',
        'users_default',
      ],
      'm.room.aliases': ['aliases'],
      'm.room.history_visibility': ['history_visibility'],
    },
    keepThirdPartyInviteSigned: false,
    redactsInContent: false,
  },
  eventIdServerSigns: true,
  enforceKeyValidity: false,
  specialCaseAliases: true,
  authoriseRedactions: true,
  creatorInContent: true,
  additionalCreators: false,
  powerLevels: {
    acceptStrings: true,
    acceptFloats: true,
    strictTypes: false,
    authoriseNotifications: false,
    creatorsAreInfinite: false,
  },
  knocking: false,
  restrictedJoins: false,
  knockRestricted: false,
  stateResolution: 'v1',
};

const V2: RoomVersionRules = { ...V1, version: '2', stateResolution: 'v2' };

const V3: RoomVersionRules = {
  ...V2,
  version: '3',
  eventIdFormat: 'base64',
  eventReferences: 'ids',
  eventIdServerSigns: false,
  authoriseRedactions: false,
};

const V4: RoomVersionRules = { ...V3, version: '4', eventIdFormat: 'url-safe-base64' };

const V5: RoomVersionRules = { ...V4, version: '5', enforceKeyValidity: true };

const { 'm.room.aliases': _aliases, ...keepContentWithoutAliases } = V5.redaction.keepContent;

const V6: RoomVersionRules = {
  ...V5,
  version: '6',
  strictCanonicalJson: true,
  specialCaseAliases: false,
  redaction: { ...V5.redaction, keepContent: keepContentWithoutAliases },
  powerLevels: { ...V5.powerLevels, acceptFloats: false, authoriseNotifications: true },
};

const V7: RoomVersionRules = { ...V6, version: '7', knocking: true };

const V8: RoomVersionRules = {
  ...V7,
  version: '8',
  restrictedJoins: true,
  redaction: {
    ...V7.redaction,
    keepContent: { ...V7.redaction.keepContent, 'm.room.join_rules': ['join_rule', 'allow'] },
  },
};

const V9: RoomVersionRules = {
  ...V8,
  version: '9',
  redaction: {
    ...V8.redaction,
    keepContent: {
      ...V8.redaction.keepContent,
      'm.room.member': ['membership', 'join_authorised_via_users_server'],
    },
  },
};

const V10: RoomVersionRules = {
  ...V9,
  version: '10',
  knockRestricted: true,
  powerLevels: { ...V9.powerLevels, acceptStrings: false, strictTypes: true },
};

const V11: RoomVersionRules = {
  ...V10,
  version: '11',
  creatorInContent: false,
  redaction: {
    keepTopLevel: V10.redaction.keepTopLevel.filter(
      (key) => key !== 'prev_state' && key !== 'origin' && key !== 'membership',
    ),
    keepContent: {
      ...V10.redaction.keepContent,
      'm.room.create': 'all',
      'm.room.power_levels': [
        'ban',
        'events',
        'events_default',
        'invite',
        'kick',
        'redact',
        'state_default',
        'users',
        'users_default',
      ],
      'm.room.redaction': ['redacts'],
    },
    keepThirdPartyInviteSigned: true,
    redactsInContent: true,
  },
};

const V12: RoomVersionRules = {
  ...V11,
  version: '12',
  roomIdIsCreateHash: true,
  additionalCreators: true,
  powerLevels: { ...V11.powerLevels, creatorsAreInfinite: true },
  stateResolution: 'v2.1',
};

const RULES: ReadonlyMap<string, RoomVersionRules> = new Map(
  [V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11, V12].map((rules) => [rules.version, rules]),
);

export const KNOWN_ROOM_VERSIONS: readonly string[] = [...RULES.keys()];

export const DEFAULT_ROOM_VERSION = '12';

/** The version of a room whose create event names none. */
export const IMPLICIT_ROOM_VERSION = '1';

/** The rules of a room version, or `undefined` if it is not one we know. */
export const rulesOf = (version: string): RoomVersionRules | undefined => RULES.get(version);
