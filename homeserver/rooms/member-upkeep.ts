/**
 * Keeping the member events of this server's users true to their accounts: a new name or picture
 * goes to every room they are in, and whoever leaves the server leaves their rooms.
 * https://spec.matrix.org/v1.19/client-server-api/#events-on-change-of-profile-information
 */
import type { Logger } from 'pino';
import type { UserId } from '../../spec/identifiers.ts';
import type { DepartureListener } from '../accounts/account-changes.ts';
import type { MemberProfile, ProfileChangeListener } from '../accounts/profiles.ts';
import type { AccountData } from '../streams/account-data.ts';
import { forEachLimited } from './for-each-limited.ts';
import type { MemberProfiles } from './member-profiles.ts';
import type { Membership } from './membership.ts';
import type { ShownProfiles } from './shown-profiles.ts';
import type { UserRooms } from './user-rooms.ts';

export interface MemberUpkeepDeps {
  readonly shownProfiles: ShownProfiles;
  readonly userRooms: UserRooms;
  readonly profiles: MemberProfiles;
  readonly membership: Membership;
  readonly accountData: AccountData;
  readonly logger: Logger;
}

/** Rooms that are written to at one time for one user: few, so that others are not held up. */
const width = 4;

export class MemberUpkeep implements ProfileChangeListener, DepartureListener {
  readonly #deps: MemberUpkeepDeps;
  /** The work under way by user; `again` when the profile has changed since it began. */
  readonly #updating = new Map<UserId, { again: boolean; done: Promise<void> }>();

  constructor(deps: MemberUpkeepDeps) {
    this.#deps = deps;
  }

  /** The change may be acknowledged at once: the rooms follow on their own. */
  async profileChanged(userId: UserId, _profile: MemberProfile): Promise<void> {
    const running = this.#updating.get(userId);
    if (running !== undefined) {
      running.again = true;
      return;
    }
    const work = { again: true, done: Promise.resolve() };
    this.#updating.set(userId, work);
    work.done = this.#update(userId, work);
  }

  /** Leaves every room; with `erase`, account data is deleted. Safe to repeat. */
  async depart(userId: UserId, { erase }: { readonly erase: boolean }): Promise<void> {
    const { userRooms, membership, accountData } = this.#deps;
    const rooms = [...(await userRooms.of(userId)).values()].filter(
      ({ membership: now }) => now === 'join' || now === 'invite' || now === 'knock',
    );
    const errors = await forEachLimited(rooms, width, ({ roomId }) =>
      membership.leave(userId, roomId),
    );
    if (erase) await accountData.erase(userId);
    if (errors.length > 0) throw new AggregateError(errors, `${errors.length} rooms were not left`);
  }

  /** Resolves once no profile change is under way. */
  async idle(): Promise<void> {
    while (this.#updating.size > 0) {
      await Promise.all([...this.#updating.values()].map(({ done }) => done));
    }
  }

  async #update(userId: UserId, work: { again: boolean }): Promise<void> {
    try {
      while (work.again) {
        work.again = false;
        await this.#updateRooms(userId);
      }
    } catch (error) {
      this.#deps.logger.error({ err: error, userId }, 'profile change not carried into rooms');
    } finally {
      this.#updating.delete(userId);
    }
  }

  async #updateRooms(userId: UserId): Promise<void> {
    const { userRooms, profiles, shownProfiles, logger } = this.#deps;
    const profile = await profiles.of(userId);
    const rooms = [...(await userRooms.of(userId)).values()]
      .filter(({ membership }) => membership === 'join')
      .map(({ roomId }) => roomId);
    const errors = await forEachLimited(rooms, width, (roomId) =>
      shownProfiles.show(userId, roomId, profile),
    );
    if (errors.length === 0) return;
    const [err] = errors;
    logger.error({ err, userId, rooms: errors.length }, 'profile change not carried into rooms');
  }
}
