/**
 * What a room is at one moment: its state and how many are in it. An immutable value, so that a
 * reader may keep the one it has begun with.
 */
import { stateKeyOf } from '../../spec/event.ts';
import type { UserId } from '../../spec/identifiers.ts';
import type { StateRef, StateSnapshot } from './state-snapshot.ts';

export class RoomView {
  readonly state: StateSnapshot;
  readonly joinedCount: number;
  readonly invitedCount: number;

  constructor(state: StateSnapshot, joinedCount: number, invitedCount: number) {
    this.state = state;
    this.joinedCount = joinedCount;
    this.invitedCount = invitedCount;
  }

  stateRef(type: string, stateKey: string): StateRef | undefined {
    return this.state.get(stateKeyOf(type, stateKey));
  }

  membership(user: UserId): string | undefined {
    return this.stateRef('m.room.member', user)?.membership;
  }
}
