/**
 * A person whose client is matrix-js-sdk: the code real clients are made of, with its own sync loop,
 * local echo and retries. Without end-to-end encryption.
 */

import {
  ClientEvent,
  createClient,
  EventType,
  type ICreateClientOpts,
  type MatrixClient,
  type MatrixEvent,
  type RegisterRequest,
  type RegisterResponse,
  type Room,
  MatrixError as SdkError,
} from 'matrix-js-sdk';
import type { ServerAddress } from './server.ts';
import { eventually } from './wait.ts';

const INITIAL_LIMIT = 10;
const POLL_TIMEOUT_MS = 10_000;
/** A person looks at what the client has; the client is woken by the server. */
const LOOK_EVERY_MS = 20;

// For every request the SDK leaves a timer of up to 90 seconds behind; a process that has nothing
// else to do need not wait for them. Test files have globals of their own.
const { setTimeout: startTimer } = globalThis;
globalThis.setTimeout = Object.assign(
  (...args: Parameters<typeof startTimer>) => startTimer(...args).unref(),
  startTimer,
);

// Parts of the SDK write to the console, whatever logger they are given.
for (const method of ['debug', 'log', 'info', 'warn', 'error', 'trace'] as const) {
  console[method] = () => undefined;
}

const silent: NonNullable<ICreateClientOpts['logger']> = {
  trace: () => undefined,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  getChild: () => silent,
};

export class SdkPerson {
  readonly id: string;
  readonly client: MatrixClient;

  private constructor(id: string, client: MatrixClient) {
    this.id = id;
    this.client = client;
  }

  /** Registers as clients do: asks, is told the stages, and comes back with the token's. */
  static async registers(
    server: ServerAddress,
    username: string,
    password: string,
    token: string,
  ): Promise<SdkPerson> {
    const visitor = createClient({ baseUrl: server.clientUrl, logger: silent });
    const wish: RegisterRequest = { username, password, initial_device_display_name: 'the SDK' };
    const session = await stagesAsked(visitor.registerRequest(wish));
    const auth = { type: 'm.login.registration_token', token, session };
    return SdkPerson.#with(server, await visitor.registerRequest({ ...wish, auth }));
  }

  /** A further session of an account. */
  static async logsIn(server: ServerAddress, user: string, password: string): Promise<SdkPerson> {
    const visitor = createClient({ baseUrl: server.clientUrl, logger: silent });
    const identifier = { type: 'm.id.user', user };
    return SdkPerson.#with(
      server,
      await visitor.loginRequest({ type: 'm.login.password', identifier, password }),
    );
  }

  static #with(server: ServerAddress, session: RegisterResponse): SdkPerson {
    const { user_id: userId, access_token: accessToken, device_id: deviceId } = session;
    if (accessToken === undefined || deviceId === undefined) throw new Error('no session');
    const baseUrl = server.clientUrl;
    return new SdkPerson(
      userId,
      createClient({ baseUrl, userId, accessToken, deviceId, logger: silent }),
    );
  }

  /** Begins to sync by long poll; resolves when the first sync has been worked in. */
  async opens(): Promise<this> {
    const ready = new Promise<void>((done) => {
      const onState = (state: string) => {
        if (state !== 'PREPARED') return;
        this.client.off(ClientEvent.Sync, onState);
        done();
      };
      this.client.on(ClientEvent.Sync, onState);
    });
    await this.client.startClient({
      initialSyncLimit: INITIAL_LIMIT,
      pollTimeout: POLL_TIMEOUT_MS,
      disablePresence: true,
    });
    await ready;
    return this;
  }

  closes(): void {
    this.client.stopClient();
  }

  /** Sends a text message and gives its event id. */
  async says(roomId: string, text: string): Promise<string> {
    return (await this.client.sendTextMessage(roomId, text)).event_id;
  }

  room(roomId: string): Room {
    const room = this.client.getRoom(roomId);
    if (room === null) throw new Error(`${this.id} knows no room ${roomId}`);
    return room;
  }

  /** What the client shows of a room, oldest first; messages still being sent left out. */
  timeline(roomId: string): MatrixEvent[] {
    const events = this.client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? [];
    return events.filter((event) => event.status === null);
  }

  /** The texts shown, oldest first. */
  texts(roomId: string): string[] {
    return this.timeline(roomId)
      .filter((event) => event.getType() === EventType.RoomMessage && !event.isRedacted())
      .map((event) => String(event.getContent()['body']));
  }

  /** Waits until the client's own sync makes `look` give something. */
  async sees<T>(what: string, look: () => T | undefined | false | null): Promise<T> {
    return eventually(`${this.id} sees ${what}`, () => look() || undefined, {
      timeoutMs: 30_000,
      pauseMs: LOOK_EVERY_MS,
    });
  }

  async seesText(roomId: string, text: string): Promise<MatrixEvent> {
    return this.sees(`"${text}"`, () =>
      this.timeline(roomId).find((event) => event.getContent()['body'] === text),
    );
  }

  /** Scrolls up until the room's beginning; gives the number of pages it took. */
  async scrollsToTheBeginning(roomId: string, pageSize: number): Promise<number> {
    for (let pages = 0; ; pages += 1) {
      const { paginationToken } = this.room(roomId).oldState;
      if (paginationToken === null) return pages;
      await this.client.scrollback(this.room(roomId), pageSize);
    }
  }
}

/** The session of the answer that asks for stages. */
async function stagesAsked(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
  } catch (error) {
    if (!(error instanceof SdkError) || error.httpStatus !== 401) throw error;
    const session: unknown = error.data['session'];
    if (typeof session === 'string') return session;
  }
  throw new Error('registering was not asked for a stage');
}
