/**
 * User-Interactive Authentication: a call that is made only once its user has passed every stage of
 * one of the flows it offers. Sessions live in the database, so any process continues them.
 *
 * Specification:
 * https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api
 */
import { createHash } from 'node:crypto';
import { lenientCanonicalJson } from '../../spec/canonical-json.ts';
import { MatrixError, matrixError } from '../../spec/errors.ts';
import type { JsonObject, JsonValue } from '../../spec/event.ts';
import type { UserId } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import type { Database, Tx } from '../storage/database.ts';
import {
  deleteUiaSession,
  insertUiaSession,
  lockUiaSession,
  setUiaCompleted,
  setUiaResult,
  type UiaSession,
  uiaSession,
} from '../storage/uia-sessions.ts';
import { newOpaqueId, secretHash } from './secrets.ts';

export interface StageAttempt {
  /** What the client sent as `auth`. */
  readonly auth: JsonObject;
  /** Whose call it is; `undefined` for calls without access token. */
  readonly userId: UserId | undefined;
  /** From where the call comes. */
  readonly ip: string;
}

export interface UiaStage {
  /** `m.login.…` */
  readonly type: string;
  /** What the client needs to know to go through the stage. */
  params?(): JsonObject;
  /**
   * Resolves to what is to be remembered of the passed stage. Throws a Matrix error for a failure
   * after which the client may try again.
   */
  attempt(attempt: StageAttempt): Promise<JsonValue>;
}

export interface UiaCall {
  /** The operationId: a session is good for the operation it was begun for. */
  readonly operation: string;
  readonly userId?: UserId | undefined;
  /** From where the call comes. */
  readonly ip: string;
  /** Each a list of stage types, to be passed in order. */
  readonly flows: readonly (readonly string[])[];
  readonly auth: JsonObject | undefined;
  /** What else the session is bound to: the request without `auth`, where it must not change. */
  readonly boundTo?: JsonValue;
}

export interface PassedUia {
  /** What each passed stage remembered. */
  readonly completed: JsonObject;
  /**
   * In the transaction that makes the call: the session serves no second one. With a `result`, a
   * client that repeats the request gets that. Throws `M_FORBIDDEN` when it has served already.
   */
  finish(tx: Tx, result?: JsonValue): Promise<void>;
}

export type UiaOutcome =
  /** Answer 401 with this body. */
  | { readonly kind: 'challenge'; readonly body: JsonObject }
  | { readonly kind: 'passed'; readonly passed: PassedUia }
  /** The call has been made before in this session, with this result. */
  | { readonly kind: 'repeated'; readonly result: JsonValue };

export interface InteractiveAuthOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly stages: readonly UiaStage[];
  readonly sessionLifetimeMs: number;
}

/** A session with the id its client knows it by; stored is only the hash. */
interface NamedSession extends UiaSession {
  readonly sessionId: string;
}

/** How long a client that lost the answer may repeat a call that has been made. */
const REPEATABLE_MS = 600_000;

const fingerprintOf = ({ operation, userId, boundTo = null }: UiaCall): string =>
  createHash('sha256')
    .update(lenientCanonicalJson([operation, userId ?? null, boundTo]))
    .digest('base64url');

const isPassed = (flow: readonly string[], completed: JsonObject): boolean =>
  flow.every((stage) => Object.hasOwn(completed, stage));

/** Whether some flow has this stage next, or has passed it already. */
const isInTurn = (flows: UiaCall['flows'], stage: string, completed: JsonObject): boolean =>
  flows.some((flow) => {
    const at = flow.indexOf(stage);
    return at !== -1 && isPassed(flow.slice(0, at), completed);
  });

export class InteractiveAuth {
  readonly #options: InteractiveAuthOptions;
  readonly #stages: ReadonlyMap<string, UiaStage>;

  constructor(options: InteractiveAuthOptions) {
    this.#options = options;
    this.#stages = new Map(options.stages.map((stage) => [stage.type, stage]));
  }

  /** Takes one step of a call. Throws `M_FORBIDDEN` when the session is for another request. */
  async advance(call: UiaCall): Promise<UiaOutcome> {
    const { database, clock } = this.#options;
    const { auth } = call;
    if (auth === undefined) return this.#challenge(call, await this.#begin(call));
    const sessionId = auth['session'];
    let session: NamedSession;
    if (typeof sessionId === 'string') {
      const found = await uiaSession(database, secretHash(sessionId), clock.nowMs());
      if (found === undefined) {
        const error = matrixError('M_UNKNOWN', 'This authentication session is over; begin again');
        return this.#challenge(call, await this.#begin(call), error);
      }
      if (found.fingerprint !== fingerprintOf(call)) {
        throw matrixError('M_FORBIDDEN', 'This authentication session is for another request');
      }
      if (found.result !== undefined) return { kind: 'repeated', result: found.result };
      session = { ...found, sessionId };
    } else {
      session = await this.#begin(call);
    }
    return this.#attempt(call, auth, session);
  }

  /** Whether a request with this `auth` only repeats a call that has been made. */
  async hasResult(auth: JsonObject | undefined): Promise<boolean> {
    const sessionId = auth?.['session'];
    if (typeof sessionId !== 'string') return false;
    const { database, clock } = this.#options;
    const session = await uiaSession(database, secretHash(sessionId), clock.nowMs());
    return session?.result !== undefined;
  }

  async #attempt(call: UiaCall, auth: JsonObject, session: NamedSession): Promise<UiaOutcome> {
    const type = auth['type'];
    let { completed } = session;
    // Without a type the client asks whether a stage was passed elsewhere.
    if (typeof type === 'string' && !Object.hasOwn(completed, type)) {
      const stage = this.#stages.get(type);
      if (stage === undefined || !isInTurn(call.flows, type, completed)) {
        const error = matrixError('M_FORBIDDEN', `It is not the turn of the stage ${type}`);
        return this.#challenge(call, session, error);
      }
      try {
        const remembered = await stage.attempt({ auth, userId: call.userId, ip: call.ip });
        completed = await this.#complete(session, type, remembered);
      } catch (error) {
        if (!(error instanceof MatrixError) || error.errcode === 'M_LIMIT_EXCEEDED') throw error;
        return this.#challenge(call, session, error);
      }
    }
    if (!call.flows.some((flow) => isPassed(flow, completed))) {
      return this.#challenge(call, { ...session, completed });
    }
    return { kind: 'passed', passed: this.#passed(session.sessionHash, completed) };
  }

  #passed(sessionHash: string, completed: JsonObject): PassedUia {
    const { clock } = this.#options;
    return {
      completed,
      finish: async (tx, result) => {
        const session = await lockUiaSession(tx, sessionHash, clock.nowMs());
        if (session === undefined || session.result !== undefined) {
          throw matrixError('M_FORBIDDEN', 'This authentication session has been used');
        }
        if (result === undefined) await deleteUiaSession(tx, sessionHash);
        else await setUiaResult(tx, sessionHash, result, clock.nowMs() + REPEATABLE_MS);
      },
    };
  }

  async #begin(call: UiaCall): Promise<NamedSession> {
    const { database, clock, random, sessionLifetimeMs } = this.#options;
    const sessionId = newOpaqueId(random);
    const session = {
      sessionHash: secretHash(sessionId),
      operation: call.operation,
      fingerprint: fingerprintOf(call),
      completed: {},
    };
    const expiresAtMs = clock.nowMs() + sessionLifetimeMs;
    await database.transaction((tx) => insertUiaSession(tx, session, expiresAtMs));
    return { ...session, sessionId, result: undefined };
  }

  /** Two stages passed at the same moment both count. */
  #complete(session: NamedSession, type: string, remembered: JsonValue): Promise<JsonObject> {
    const { database, clock } = this.#options;
    return database.transaction(async (tx) => {
      const current = await lockUiaSession(tx, session.sessionHash, clock.nowMs());
      const completed = { ...current?.completed, [type]: remembered };
      await setUiaCompleted(tx, session.sessionHash, completed);
      return completed;
    });
  }

  #challenge(call: UiaCall, session: NamedSession, error?: MatrixError): UiaOutcome {
    // biome-ignore lint/plugin: the stages are those of our own flows.
    const params: JsonObject = {};
    for (const type of new Set(call.flows.flat())) {
      const stageParams = this.#stages.get(type)?.params?.();
      if (stageParams !== undefined) params[type] = stageParams;
    }
    return {
      kind: 'challenge',
      body: {
        ...error?.toJSON(),
        flows: call.flows.map((stages) => ({ stages: [...stages] })),
        params,
        session: session.sessionId,
        completed: Object.keys(session.completed),
      },
    };
  }
}
