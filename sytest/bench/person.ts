/**
 * A person with an account on the server under test, and the few client calls the scenarios make
 * (https://spec.matrix.org/v1.19/client-server-api/).
 */
import { createHmac } from 'node:crypto';
import { HttpConnection, type HttpRequest } from './http-connection.ts';

export class UnexpectedAnswer extends Error {
  readonly status: number;

  constructor({ method, path }: HttpRequest, status: number, body: Buffer) {
    super(`${method} ${path} was answered ${status}: ${body.toString('utf8', 0, 300)}`);
    this.status = status;
  }
}

/** Resolves with the body of a 200 answer. @throws UnexpectedAnswer on any other */
export const expectOk = async (http: HttpConnection, request: HttpRequest): Promise<Buffer> => {
  const { status, body } = await http.request(request);
  if (status !== 200) throw new UnexpectedAnswer(request, status, body);
  return body;
};

export interface SyncRequest {
  readonly since?: string | undefined;
  readonly timeoutMs?: number;
}

export class Person {
  readonly userId: string;
  readonly token: string;
  readonly #url: URL;
  readonly #http: HttpConnection;
  #transactions = 0;

  constructor(url: URL, userId: string, token: string) {
    this.#url = url;
    this.userId = userId;
    this.token = token;
    this.#http = new HttpConnection(url);
  }

  /** A second connection, as a client keeps one for its long poll. */
  newConnection(): HttpConnection {
    return new HttpConnection(this.#url);
  }

  close(): void {
    this.#http.close();
  }

  async createRoom(body: object): Promise<string> {
    const answer = await this.#call('POST', '/_matrix/client/v3/createRoom', body);
    return String(answer['room_id']);
  }

  /** @param via a server that is in the room, for a room that ours is not in */
  async join(roomId: string, via?: string): Promise<void> {
    const query = via === undefined ? '' : `?via=${encodeURIComponent(via)}`;
    await this.#call('POST', `/_matrix/client/v3/join/${encodeURIComponent(roomId)}${query}`, {});
  }

  async joinOn(http: HttpConnection, roomId: string): Promise<void> {
    const path = `/_matrix/client/v3/join/${encodeURIComponent(roomId)}`;
    await expectOk(http, { method: 'POST', path, token: this.token, body: '{}' });
  }

  async joinedMembers(roomId: string): Promise<string[]> {
    const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/joined_members`;
    const { joined } = (await this.#call('GET', path)) as { joined: Record<string, unknown> };
    return Object.keys(joined);
  }

  /** Sends `content`, serialised JSON; resolves with the answer as it came, unparsed. */
  send(roomId: string, content: string): Promise<Buffer> {
    return this.sendOn(this.#http, roomId, content);
  }

  sendOn(http: HttpConnection, roomId: string, content: string): Promise<Buffer> {
    const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/send/m.room.message`;
    return expectOk(http, {
      method: 'PUT',
      path: `${path}/${++this.#transactions}`,
      token: this.token,
      body: content,
    });
  }

  /** Everything in a room that this person may see, newest first. */
  async *history(roomId: string): AsyncGenerator<{ content: Record<string, unknown> }> {
    const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=100`;
    for (let from = ''; ; ) {
      const page = (await this.#call('GET', path + from)) as {
        chunk: { content: Record<string, unknown> }[];
        end?: string;
      };
      yield* page.chunk;
      if (page.end === undefined) return;
      from = `&from=${encodeURIComponent(page.end)}`;
    }
  }

  /** One page of a room's history, from its newest event or from where the last page ended. */
  async page(
    roomId: string,
    limit: number,
    from?: string,
  ): Promise<{ events: number; end?: string }> {
    const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=${limit}`;
    const since = from === undefined ? '' : `&from=${encodeURIComponent(from)}`;
    const { chunk, end } = (await this.#call('GET', path + since)) as {
      chunk: readonly unknown[];
      end?: string;
    };
    return { events: chunk.length, ...(end === undefined ? {} : { end }) };
  }

  /** Texts of the newest messages of a room, newest first. */
  async newestMessages(roomId: string, limit: number): Promise<unknown[]> {
    const room = encodeURIComponent(roomId);
    const path = `/_matrix/client/v3/rooms/${room}/messages?dir=b&limit=${limit}`;
    const { chunk } = (await this.#call('GET', path)) as {
      chunk: { content: Record<string, unknown> }[];
    };
    return chunk.map(({ content }) => content['body']);
  }

  sync(request: SyncRequest): Promise<Buffer> {
    return this.syncOn(this.#http, request);
  }

  syncOn(http: HttpConnection, { since, timeoutMs = 0 }: SyncRequest): Promise<Buffer> {
    const from = since === undefined ? '' : `&since=${encodeURIComponent(since)}`;
    return expectOk(http, {
      method: 'GET',
      path: `/_matrix/client/v3/sync?timeout=${timeoutMs}${from}`,
      token: this.token,
    });
  }

  async #call(
    method: HttpRequest['method'],
    path: string,
    body?: object,
  ): Promise<Record<string, unknown>> {
    const serialised = body === undefined ? undefined : JSON.stringify(body);
    const answer = await expectOk(this.#http, {
      method,
      path,
      token: this.token,
      body: serialised,
    });
    return JSON.parse(answer.toString()) as Record<string, unknown>;
  }
}

/** Where a sync answer says to go on from, without parsing the rest of what may be megabytes. */
export const nextBatchOf = (answer: Buffer): string => {
  const match = /"next_batch"\s*:\s*"([^"\\]+)"/.exec(answer.toString());
  if (match === null) throw new Error('a sync answer without next_batch');
  return match[1]!;
};

/** How accounts are made: by anyone, or with the secret shared with the server. */
export interface Registrar {
  readonly url: URL;
  readonly sharedSecret: string | undefined;
}

const PASSWORD = 'a benchmark, not a secret';

/** @throws UnexpectedAnswer */
export const register = async (
  { url, sharedSecret }: Registrar,
  localpart: string,
): Promise<Person> => {
  const http = new HttpConnection(url);
  try {
    const post = async (path: string, body: object) =>
      expectOk(http, { method: 'POST', path, body: JSON.stringify(body) });
    let answer: Buffer;
    if (sharedSecret === undefined) {
      answer = await post('/_matrix/client/v3/register', {
        auth: { type: 'm.login.dummy' },
        username: localpart,
        password: PASSWORD,
      });
    } else {
      const path = '/_synapse/admin/v1/register';
      const offer = await expectOk(http, { method: 'GET', path });
      const { nonce } = JSON.parse(offer.toString()) as { nonce: string };
      const proof = [nonce, localpart, PASSWORD, 'notadmin'].join('\0');
      const mac = createHmac('sha1', sharedSecret).update(proof).digest('hex');
      answer = await post(path, {
        nonce,
        username: localpart,
        password: PASSWORD,
        admin: false,
        mac,
      });
    }
    const account = JSON.parse(answer.toString()) as { user_id: string; access_token: string };
    return new Person(url, account.user_id, account.access_token);
  } finally {
    http.close();
  }
};
