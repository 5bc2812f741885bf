/** Who is typing, in sync. https://spec.matrix.org/v1.19/client-server-api/#mtyping */
import type { Notifier } from '../streams/notifier.ts';
import type { Typing } from '../streams/typing.ts';
import type { SyncResponse } from './response.ts';
import { isNewlyJoined, type SyncContext, type SyncStream } from './sync-stream.ts';
import { maxTypingIn } from './tokens.ts';

export class TypingStream implements SyncStream {
  readonly name = 'typing';
  readonly #typing: Typing;
  readonly #notifier: Notifier;

  constructor(typing: Typing, notifier: Notifier) {
    this.#typing = typing;
    this.#notifier = notifier;
  }

  collect(context: SyncContext, response: SyncResponse): undefined {
    const told = context.from?.typingIn;
    response.typingIn = told;
    const { ephemeral } = context.filter.room;
    if (!ephemeral.matchesEvent({ type: 'm.typing' })) return;
    const since = context.from?.typing ?? 0;
    if (context.from !== undefined && since >= this.#typing.serial) return;
    const typingIn = new Set(told);
    for (const room of context.rooms) {
      if (room.membership !== 'join' || !ephemeral.matchesRoom(room.roomId)) continue;
      const users = this.#typing.usersIn(room.roomNid);
      const news = isNewlyJoined(context, room)
        ? users.length > 0
        : this.#typing.changedSince(room.roomNid, since) ||
          // From before a restart, say.
          (typingIn.has(room.roomNid) && !this.#typing.knows(room.roomNid));
      if (!news) continue;
      const shown = users.filter((user) => !context.ignoredUsers.has(user));
      const content = JSON.stringify({ user_ids: shown });
      typingIn.delete(room.roomNid);
      if (shown.length > 0) typingIn.add(room.roomNid);
      response
        .joined(room.roomId)
        .addEphemeral(
          `{"type":"m.typing","content":${content}}`,
          this.#notifier.holds(room.roomNid),
        );
    }
    response.typingIn = [...typingIn].slice(-maxTypingIn);
  }
}
