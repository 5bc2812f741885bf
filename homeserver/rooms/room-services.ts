/**
 * The services that people's requests about rooms come to, built on the core in order. Whatever writes
 * to a room is done by the room's owner.
 */
import type { RoomId } from '../../spec/identifiers.ts';
import type { Core } from '../core.ts';
import { atOwner } from '../owners.ts';
import { RoomCreator } from './create-room.ts';
import { EventSender } from './event-sender.ts';
import { GuestRemoval } from './guest-removal.ts';
import { type InviteLimits, Invites } from './invites.ts';
import { memberProfiles } from './member-profiles.ts';
import { MemberUpkeep } from './member-upkeep.ts';
import { Membership } from './membership.ts';
import { PredecessorSettings } from './predecessor-settings.ts';
import { type DirectoryPublishers, PublicRooms } from './public-rooms.ts';
import { noRemoteRooms, type RemoteRooms } from './remote-rooms.ts';
import { Reports } from './reports.ts';
import { RestrictedJoins } from './restricted-joins.ts';
import { RoomAliases } from './room-aliases.ts';
import { RoomMaker } from './room-maker.ts';
import { RoomState } from './room-state.ts';
import { ShownProfiles } from './shown-profiles.ts';
import { RoomUpgrader } from './upgrade-room.ts';

export interface RoomServicesOptions {
  /** Version of rooms whose creator asks for none. */
  readonly defaultRoomVersion: string;
  /** Who may list rooms in the public directory; undefined: everyone. */
  readonly publishers?: DirectoryPublishers | undefined;
  /** Undefined while this server speaks with no other. */
  readonly remote?: RemoteRooms | undefined;
  /** Undefined: people may invite as often as they like. */
  readonly inviteLimits?: InviteLimits | undefined;
}

export interface RoomServices {
  readonly restrictedJoins: RestrictedJoins;
  readonly roomAliases: RoomAliases;
  readonly invites: Invites;
  readonly membership: Membership;
  readonly roomCreator: RoomCreator;
  readonly roomUpgrader: RoomUpgrader;
  readonly eventSender: EventSender;
  readonly roomState: RoomState;
  readonly publicRooms: PublicRooms;
  readonly reports: Reports;
  /** To be told of changed profiles and deactivated accounts. */
  readonly memberUpkeep: MemberUpkeep;
  /** Resolves once nothing that follows from requests is under way. */
  idle(): Promise<void>;
}

/** Many services name whoever acts first, and then the room. */
const second = (_first: string, roomId: RoomId): string => roomId;

export const createRoomServices = (core: Core, options: RoomServicesOptions): RoomServices => {
  const { remote = noRemoteRooms, inviteLimits: limits, defaultRoomVersion } = options;
  const { publishers = 'everyone' } = options;
  const { owners } = core;
  const profiles = memberProfiles(core.database);
  const restrictedJoins = new RestrictedJoins(core);
  const aliases = new RoomAliases({ ...core, remote });
  const invites = atOwner(owners, 'invites', new Invites({ ...core, profiles, remote, limits }), {
    send: second,
  });
  const membership = atOwner(
    owners,
    'membership',
    new Membership({ ...core, profiles, invites, restrictedJoins, remote }),
    {
      join: second,
      knock: second,
      leave: second,
      invite: second,
      kick: second,
      ban: second,
      unban: second,
      setState: second,
    },
  );
  const maker = new RoomMaker(core);
  const shownProfiles = atOwner(owners, 'shownProfiles', new ShownProfiles(core), { show: second });
  const upkeep = new MemberUpkeep({ ...core, profiles, membership, shownProfiles });
  const guestRemoval = new GuestRemoval({ ...core, membership });
  const predecessorSettings = new PredecessorSettings(core);
  const creator = new RoomCreator({
    ...core,
    maker,
    invites,
    profiles,
    defaultVersion: defaultRoomVersion,
    publishers,
  });
  const upgrader = new RoomUpgrader({ ...core, maker, aliases, profiles });
  const eventSender = new EventSender({ ...core, membership, aliases });
  return {
    restrictedJoins,
    roomAliases: aliases,
    invites,
    membership,
    // The new room has an id by which it belongs to whoever makes it.
    roomCreator: atOwner(owners, 'roomCreator', creator, { create: (userId) => userId }),
    roomUpgrader: atOwner(owners, 'roomUpgrader', upgrader, { upgrade: second }),
    eventSender: atOwner(
      owners,
      'eventSender',
      eventSender,
      {
        message: (_sender, { roomId }) => roomId,
        redaction: (_sender, { roomId }) => roomId,
        state: (_sender, { roomId }) => roomId,
      },
      // Once for each transaction of a device, whoever carries it out.
      ['message', 'redaction'],
    ),
    roomState: new RoomState(core),
    publicRooms: new PublicRooms({ ...core, remote, publishers }),
    reports: new Reports(core),
    // One process sees to one user's rooms, so that the newest profile is what they end with.
    memberUpkeep: atOwner(owners, 'memberUpkeep', upkeep, { profileChanged: (userId) => userId }),
    idle: async () => {
      await upkeep.idle();
      await guestRemoval.idle();
      await predecessorSettings.idle();
    },
  };
};
