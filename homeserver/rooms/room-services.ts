/** The services that people's requests about rooms come to, built on the core in order. */
import type { Core } from '../core.ts';
import { RoomCreator } from './create-room.ts';
import { type InviteLimits, Invites } from './invites.ts';
import { type MemberProfiles, memberProfiles } from './member-profiles.ts';
import { Membership } from './membership.ts';
import { noRemoteRooms, type RemoteRooms } from './remote-rooms.ts';
import { RestrictedJoins } from './restricted-joins.ts';
import { RoomAliases } from './room-aliases.ts';
import { RoomMaker } from './room-maker.ts';

export interface RoomServicesOptions {
  /** Version of rooms whose creator asks for none. */
  readonly defaultRoomVersion: string;
  /** Undefined while this server speaks with no other. */
  readonly remote?: RemoteRooms | undefined;
  /** Undefined: people may invite as often as they like. */
  readonly inviteLimits?: InviteLimits | undefined;
}

export interface RoomServices {
  readonly profiles: MemberProfiles;
  readonly restrictedJoins: RestrictedJoins;
  readonly aliases: RoomAliases;
  readonly invites: Invites;
  readonly membership: Membership;
  readonly maker: RoomMaker;
  readonly creator: RoomCreator;
}

export const createRoomServices = (core: Core, options: RoomServicesOptions): RoomServices => {
  const { remote = noRemoteRooms, inviteLimits: limits, defaultRoomVersion } = options;
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
  const creator = new RoomCreator({
    ...core,
    maker,
    invites,
    profiles,
    defaultVersion: defaultRoomVersion,
  });
  return { profiles, restrictedJoins, aliases, invites, membership, maker, creator };
};
