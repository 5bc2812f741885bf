/** The services that people's requests about rooms come to, built on the core in order. */
import type { Core } from '../core.ts';
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

export const createRoomServices = (core: Core, options: RoomServicesOptions): RoomServices => {
  const { remote = noRemoteRooms, inviteLimits: limits, defaultRoomVersion } = options;
  const { publishers = 'everyone' } = options;
  const profiles = memberProfiles(core.database);
  const restrictedJoins = new RestrictedJoins(core);
  const aliases = new RoomAliases({ ...core, remote });
  const invites = new Invites({ ...core, profiles, remote, limits });
  const membership = new Membership({
    ...core,
    profiles,
    aliases,
    invites,
    restrictedJoins,
    remote,
  });
  const maker = new RoomMaker(core);
  const memberUpkeep = new MemberUpkeep({ ...core, profiles, membership });
  const guestRemoval = new GuestRemoval({ ...core, membership });
  const predecessorSettings = new PredecessorSettings(core);
  return {
    restrictedJoins,
    roomAliases: aliases,
    invites,
    membership,
    roomCreator: new RoomCreator({
      ...core,
      maker,
      invites,
      profiles,
      defaultVersion: defaultRoomVersion,
      publishers,
    }),
    roomUpgrader: new RoomUpgrader({ ...core, maker, aliases, profiles }),
    eventSender: new EventSender({ ...core, membership, aliases }),
    roomState: new RoomState(core),
    publicRooms: new PublicRooms({ ...core, remote, publishers }),
    reports: new Reports(core),
    memberUpkeep,
    idle: async () => {
      await memberUpkeep.idle();
      await guestRemoval.idle();
      await predecessorSettings.idle();
    },
  };
};
