/** How a request to another server fails, by what can be done about it. */
import { RemoteFailure } from '../homeserver/rooms/remote-events.ts';
import type { JsonObject } from '../spec/event.ts';

export abstract class FederationError extends RemoteFailure {
  readonly destination: string;
  /** Whether the same request may succeed later. */
  abstract readonly retryable: boolean;

  constructor(destination: string, message: string, options?: ErrorOptions) {
    super(`${destination}: ${message}`, options);
    this.destination = destination;
  }
}

/** The server answered, with an error status. */
export class RefusedByServer extends FederationError {
  override readonly name = 'RefusedByServer';
  readonly status: number;
  /** `M_UNKNOWN` where the answer names none. */
  readonly errcode: string;
  /** The whole answer; empty where it was no JSON object. */
  readonly body: JsonObject;

  constructor(destination: string, status: number, body: JsonObject) {
    const { errcode, error } = body;
    const code = typeof errcode === 'string' ? errcode : 'M_UNKNOWN';
    super(destination, `${status} ${code}${typeof error === 'string' ? ` ${error}` : ''}`);
    this.status = status;
    this.errcode = code;
    this.body = body;
  }

  get retryable(): boolean {
    return this.status >= 500 || this.status === 429;
  }
}

/** The server could not be reached, did not answer in time, or is being left alone for a while. */
export class ServerUnreachable extends FederationError {
  override readonly name = 'ServerUnreachable';
  readonly retryable = true;
}

/** It makes no sense to ask: no such server name, not allowed, an answer beyond all bounds. */
export class RequestImpossible extends FederationError {
  override readonly name = 'RequestImpossible';
  readonly retryable = false;
}
