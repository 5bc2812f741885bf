/**
 * The failure of an authorisation rule, and the numbers that rules have in each room version.
 *
 * Specification: the "Authorisation rules" section of each room version, such as
 * https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules
 */
import type { RoomVersionRules } from '../room-versions.ts';

/** An event is not authorised. */
export class EventRejected extends Error {
  /** The number of the rule in the event's room version: `4.3.5.2`. */
  readonly rule: string;
  /** No room would have such an event: what is wrong is what it says, not who says it. */
  readonly isAboutContent: boolean;

  constructor(rule: string, message: string, { isAboutContent = false } = {}) {
    super(message);
    this.name = 'EventRejected';
    this.rule = rule;
    this.isAboutContent = isAboutContent;
  }
}

/** The rules by name, with the numbers they have in one room version. */
export interface RuleNumbers {
  readonly create: number;
  readonly roomId: number;
  readonly authEvents: number;
  readonly federate: number;
  readonly aliases: number;
  readonly member: number;
  readonly senderJoined: number;
  readonly thirdPartyInvite: number;
  readonly requiredLevel: number;
  readonly stateKeyOfUser: number;
  readonly powerLevels: number;
  readonly redaction: number;
}

/** Within the rule on `m.room.member`. */
export interface MemberRuleNumbers {
  readonly wellFormed: number;
  readonly authorisedViaServer: number;
  readonly join: number;
  readonly invite: number;
  readonly leave: number;
  readonly ban: number;
  readonly knock: number;
  readonly unknown: number;
}

/** Within the rule on `m.room.power_levels`. */
export interface PowerLevelRuleNumbers {
  readonly levelTypes: number;
  readonly mapTypes: number;
  readonly users: number;
  readonly creators: number;
  readonly noPrevious: number;
  readonly levels: number;
  readonly oldEntries: number;
  readonly newEntries: number;
  readonly oldUsers: number;
  readonly newUsers: number;
}

export interface Numbering {
  readonly rule: RuleNumbers;
  readonly member: MemberRuleNumbers;
  readonly powerLevels: PowerLevelRuleNumbers;
}

/**
 * Numbers the entries in order. Those of absent rules are left out of the count and get `NaN`,
 * which no message ever shows.
 */
const number = <K extends string>(entries: readonly (readonly [K, boolean])[]) => {
  let next = 1;
  return Object.fromEntries(
    entries.map(([name, present]) => [name, present ? next++ : Number.NaN]),
  ) as Record<K, number>;
};

const numberRules = (rules: RoomVersionRules): Numbering => ({
  rule: number([
    ['create', true],
    ['roomId', rules.roomIdIsCreateHash],
    ['authEvents', true],
    ['federate', true],
    ['aliases', rules.specialCaseAliases],
    ['member', true],
    ['senderJoined', true],
    ['thirdPartyInvite', true],
    ['requiredLevel', true],
    ['stateKeyOfUser', true],
    ['powerLevels', true],
    ['redaction', rules.authoriseRedactions],
  ]),
  member: number([
    ['wellFormed', true],
    ['authorisedViaServer', rules.restrictedJoins],
    ['join', true],
    ['invite', true],
    ['leave', true],
    ['ban', true],
    ['knock', rules.knocking],
    ['unknown', true],
  ]),
  powerLevels: number([
    ['levelTypes', rules.powerLevels.strictTypes],
    ['mapTypes', rules.powerLevels.strictTypes],
    ['users', true],
    ['creators', rules.powerLevels.creatorsAreInfinite],
    ['noPrevious', true],
    ['levels', true],
    ['oldEntries', true],
    ['newEntries', true],
    ['oldUsers', true],
    ['newUsers', true],
  ]),
});

const numberings = new WeakMap<RoomVersionRules, Numbering>();

export const numberingOf = (rules: RoomVersionRules): Numbering => {
  let numbering = numberings.get(rules);
  if (numbering === undefined) {
    numbering = numberRules(rules);
    numberings.set(rules, numbering);
  }
  return numbering;
};
