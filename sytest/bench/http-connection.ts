/**
 * One keep-alive HTTP/1.1 connection with one request in flight, written on a bare socket: the load
 * program shares its cores with the server under test, so every microsecond it spends on a request
 * is one the server does not get. A general client costs several times as much for each request.
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AnswerReader, type HttpAnswer } from './http-answer.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly token?: string | undefined;
  /** JSON, already serialised. */
  readonly body?: string | undefined;
}

/** The connection ended before the answer was complete, through either side. */
export class ConnectionClosed extends Error {}

interface Pending {
  readonly bytes: string;
  /** Set when the socket had served a request before: the server may have closed it while idle. */
  readonly onReusedSocket: boolean;
  readonly resolve: (answer: HttpAnswer) => void;
  readonly reject: (error: Error) => void;
}

export class HttpConnection {
  readonly #url: URL;
  #socket: Socket | undefined;
  #reader = new AnswerReader();
  #pending: Pending | undefined;
  #closed = false;

  constructor(url: URL) {
    this.#url = url;
  }

  /** Resolves with the whole answer, whatever its status. @throws ConnectionClosed */
  request(request: HttpRequest): Promise<HttpAnswer> {
    if (this.#closed) return Promise.reject(new ConnectionClosed('the connection was closed'));
    if (this.#pending !== undefined) throw new Error('one request at a time on a connection');
    return new Promise((resolve, reject) => {
      const onReusedSocket = this.#socket !== undefined;
      this.#send({ bytes: serialise(request, this.#url.host), onReusedSocket, resolve, reject });
    });
  }

  /** Ends the connection; a request in flight is rejected with ConnectionClosed. */
  close(): void {
    this.#closed = true;
    this.#socket?.destroy();
    this.#lost(new ConnectionClosed('the connection was closed'));
  }

  #send(pending: Pending): void {
    this.#pending = pending;
    this.#socket ??= this.#open();
    this.#socket.write(pending.bytes);
  }

  #open(): Socket {
    const { protocol, hostname, port } = this.#url;
    const secure = protocol === 'https:';
    const host = hostname.replace(/^\[|\]$/g, '');
    const address = { host, port: Number(port || (secure ? 443 : 80)) };
    const socket = secure ? connectTls({ ...address, servername: host }) : connectTcp(address);
    socket.setNoDelay(true);
    this.#reader = new AnswerReader();
    let failure: Error | undefined;
    socket.on('data', (chunk) => this.#received(socket, chunk));
    socket.on('error', (error) => {
      failure = error;
    });
    socket.on('close', () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.#lost(new ConnectionClosed(failure?.message ?? 'the server closed the connection'));
    });
    return socket;
  }

  #received(socket: Socket, chunk: Buffer): void {
    let answer: HttpAnswer | undefined;
    try {
      answer = this.#reader.push(chunk);
    } catch (error) {
      socket.destroy(error as Error);
      return;
    }
    if (answer === undefined) return;
    if (answer.closes) {
      this.#socket = undefined;
      socket.end();
    }
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.resolve(answer);
  }

  #lost(error: Error): void {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending === undefined) return;
    // A server may end an idle connection at the very moment the next request is written to it: no
    // byte of an answer comes, and the request is sent once more on a new socket, as browsers do.
    if (pending.onReusedSocket && !this.#reader.started && !this.#closed) {
      this.#send({ ...pending, onReusedSocket: false });
    } else {
      pending.reject(error);
    }
  }
}

const serialise = ({ method, path, token, body }: HttpRequest, host: string): string => {
  let head = `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n`;
  if (token !== undefined) head += `Authorization: Bearer ${token}\r\n`;
  if (body === undefined) return `${head}\r\n`;
  const length = Buffer.byteLength(body);
  return `${head}Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${body}`;
};
