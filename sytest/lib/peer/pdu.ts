/**
 * Events as servers exchange them, for the room versions the peer speaks: 10, 11
 * and 12. https://spec.matrix.org/v1.19/server-server-api/#pdus
 */

import {
  canonicalJson,
  type JsonObject,
  type SigningKey,
  sha256,
  unpaddedBase64,
} from './signing.ts';

export interface Pdu extends JsonObject {
  type: string;
  sender: string;
  room_id?: string;
  state_key?: string;
  content: JsonObject;
  prev_events: string[];
  auth_events: string[];
  depth: number;
  origin_server_ts: number;
  hashes: { sha256: string };
  signatures: { [server: string]: { [key: string]: string } };
}

/** An event before it is hashed and signed. */
export type Draft = Omit<Pdu, 'hashes' | 'signatures'>;

/** Rules that differ between the versions the peer speaks. */
export interface PeerRules {
  /** Room ids are made of the create event, which has none itself (version 12). */
  readonly roomIdIsCreateEvent: boolean;
  readonly creatorInContent: boolean;
  /** Redaction keeps `third_party_invite.signed` of a membership. */
  readonly keepsThirdPartySigned: boolean;
  readonly keptTopLevel: ReadonlySet<string>;
  readonly keptContent: Readonly<Record<string, readonly string[] | 'all'>>;
}

const TOP_LEVEL_11 = [
  ...['event_id', 'type', 'room_id', 'sender', 'state_key', 'content', 'hashes', 'signatures'],
  ...['depth', 'prev_events', 'auth_events', 'origin_server_ts'],
];

const POWER_LEVELS_10 = [
  ...['ban', 'events', 'events_default', 'kick', 'redact', 'state_default', 'users'],
  'users_default',
];

const RULES_10: PeerRules = {
  roomIdIsCreateEvent: false,
  creatorInContent: true,
  keepsThirdPartySigned: false,
  keptTopLevel: new Set([...TOP_LEVEL_11, 'origin', 'membership', 'prev_state']),
  keptContent: {
    'm.room.member': ['membership', 'join_authorised_via_users_server'],
    'm.room.create': ['creator'],
    'm.room.join_rules': ['join_rule', 'allow'],
    'm.room.power_levels': POWER_LEVELS_10,
    'm.room.history_visibility': ['history_visibility'],
  },
};

const RULES_11: PeerRules = {
  ...RULES_10,
  creatorInContent: false,
  keepsThirdPartySigned: true,
  keptTopLevel: new Set(TOP_LEVEL_11),
  keptContent: {
    ...RULES_10.keptContent,
    'm.room.create': 'all',
    'm.room.power_levels': [...POWER_LEVELS_10, 'invite'],
    'm.room.redaction': ['redacts'],
  },
};

const RULES: Readonly<Record<string, PeerRules>> = {
  '10': RULES_10,
  '11': RULES_11,
  '12': { ...RULES_11, roomIdIsCreateEvent: true },
};

export const PEER_ROOM_VERSIONS = Object.keys(RULES);

export function rulesOf(version: string): PeerRules {
  const rules = RULES[version];
  if (rules === undefined) throw new Error(`the peer does not speak room version ${version}`);
  return rules;
}

/** https://spec.matrix.org/v1.19/client-server-api/#redactions */
export function redact(event: JsonObject, rules: PeerRules): JsonObject {
  const kept = rules.keptContent[event['type']] ?? [];
  const content: JsonObject = event['content'];
  const keptContent =
    kept === 'all'
      ? content
      : Object.fromEntries(kept.filter((key) => key in content).map((key) => [key, content[key]]));
  const invite = content['third_party_invite'];
  if (rules.keepsThirdPartySigned && event['type'] === 'm.room.member' && invite) {
    keptContent['third_party_invite'] = 'signed' in invite ? { signed: invite.signed } : {};
  }
  const topLevel = Object.entries(event).filter(([key]) => rules.keptTopLevel.has(key));
  return { ...Object.fromEntries(topLevel), content: keptContent };
}

/** https://spec.matrix.org/v1.19/server-server-api/#calculating-the-content-hash-for-an-event */
export function contentHash(event: JsonObject): string {
  const { unsigned: _u, signatures: _s, hashes: _h, ...hashed } = event;
  return unpaddedBase64(sha256(canonicalJson(hashed)));
}

/** https://spec.matrix.org/v1.19/server-server-api/#calculating-the-reference-hash-for-an-event */
export function eventIdOf(event: JsonObject, rules: PeerRules): string {
  const { signatures: _s, unsigned: _u, ...hashed } = redact(event, rules);
  return `$${sha256(canonicalJson(hashed)).toString('base64url')}`;
}

/** Adds a signature made over the redacted event, as every signature on an event is. */
export function signEvent<E extends JsonObject>(
  event: E,
  rules: PeerRules,
  server: string,
  key: SigningKey,
): E {
  const { signatures } = key.signJson(redact(event, rules), server);
  return { ...event, signatures };
}

/** Hashes and signs a draft. */
export function finish(draft: Draft, rules: PeerRules, server: string, key: SigningKey): Pdu {
  const hashed = { ...draft, hashes: { sha256: contentHash(draft) }, signatures: {} } as Pdu;
  return signEvent(hashed, rules, server, key);
}
