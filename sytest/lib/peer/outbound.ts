/** Requests the peer makes to servers under test. */

import { type Agent, request as httpsRequest } from 'node:https';
import type { Body } from '../http.ts';
import type { Identity } from './room.ts';
import { authorization } from './x-matrix.ts';

export interface FederationAnswer {
  readonly status: number;
  /** `undefined` if the answer was not JSON. */
  readonly body: Body;
  readonly text: string;
}

/** Ways for a request to be wrong. */
export interface Outbound {
  readonly unsigned?: boolean;
  /** Whom the request claims to be from. */
  readonly as?: string;
  /** Whom the request claims to be for. */
  readonly destination?: string;
  /** Signs this body instead of the one sent. */
  readonly signedBody?: Body;
}

/** @param uri path and query, already escaped */
export async function ask(
  agent: Agent,
  identity: Identity,
  serverName: string,
  method: string,
  uri: string,
  body: Body,
  { unsigned = false, as = identity.name, destination = serverName, ...wrong }: Outbound,
): Promise<FederationAnswer> {
  const content = 'signedBody' in wrong ? wrong.signedBody : body;
  const signed = { method, uri, origin: as, destination };
  const header = authorization(
    content === undefined ? signed : { ...signed, content },
    identity.key,
  );
  const [host, port] = serverName.split(':');
  return new Promise((done, failed) => {
    const request = httpsRequest(
      {
        ...{ agent, host, port, method, path: uri, servername: host! },
        headers: {
          Host: serverName,
          ...(unsigned ? {} : { Authorization: header }),
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        },
        timeout: 60_000,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          done({ status: response.statusCode!, text, body: parsed(text) });
        });
        response.on('error', failed);
      },
    );
    request.on('error', failed);
    request.on('timeout', () => request.destroy(new Error(`${method} ${uri}: no answer`)));
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function parsed(text: string): Body {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
