/**
 * What event authorisation is given to decide by: the event's room as far as the rules look at it.
 */
import type { MatrixEvent, Pdu } from '../event.ts';
import type { ServerName, UserId } from '../identifiers.ts';
import { type PowerLevels, powerLevelsOf } from '../power-levels.ts';
import type { RoomVersionRules } from '../room-versions.ts';
import { signingKeyIdsOf } from '../signing.ts';
import { type Numbering, numberingOf } from './event-rejected.ts';

export interface AuthInput {
  /** The room's accepted create event. */
  readonly createEvent: MatrixEvent | undefined;
  /** The state against which the event is checked. */
  readonly state: (type: string, stateKey: string) => MatrixEvent | undefined;
  /**
   * Whether a server's signature on the event was found valid. By default a signature that is there
   * counts, because events are dropped earlier unless all of `requiredSigners` signed them validly.
   */
  readonly isSignedBy?: (event: MatrixEvent, server: ServerName) => boolean;
}

export type Membership = 'join' | 'invite' | 'leave' | 'ban' | 'knock';

/** The input with what the rules ask of it, each worked out at most once. */
export class AuthContext {
  readonly event: MatrixEvent;
  readonly rules: RoomVersionRules;
  readonly numbering: Numbering;
  readonly #input: AuthInput;
  #powerLevels: PowerLevels | undefined;

  constructor(event: MatrixEvent, rules: RoomVersionRules, input: AuthInput) {
    this.event = event;
    this.rules = rules;
    this.numbering = numberingOf(rules);
    this.#input = input;
  }

  get createEvent(): MatrixEvent | undefined {
    return this.#input.createEvent;
  }

  state(type: string, stateKey: string): MatrixEvent | undefined {
    return this.#input.state(type, stateKey);
  }

  /** The membership of a user before the event; a user the room never saw counts as gone. */
  membershipOf(userId: string): string {
    const membership = this.state('m.room.member', userId)?.content['membership'];
    return typeof membership === 'string' ? membership : 'leave';
  }

  get joinRule(): string {
    const joinRule = this.state('m.room.join_rules', '')?.content['join_rule'];
    return typeof joinRule === 'string' ? joinRule : 'invite';
  }

  get powerLevels(): PowerLevels {
    this.#powerLevels ??= powerLevelsOf(
      this.state('m.room.power_levels', ''),
      this.createEvent,
      this.rules,
    );
    return this.#powerLevels;
  }

  levelOf(userId: UserId | string): number {
    return this.powerLevels.ofUser(userId);
  }

  isSignedBy(server: ServerName): boolean {
    return this.#input.isSignedBy === undefined
      ? signingKeyIdsOf(this.event.pdu as Pdu & Record<string, unknown>, server).length > 0
      : this.#input.isSignedBy(this.event, server);
  }
}
