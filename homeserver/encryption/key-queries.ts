/**
 * Keys of anyone for a client: this server's own, those known of others, and what others answer now.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery
 */
import { emptyRecord } from '../../spec/empty-record.ts';
import type { JsonObject } from '../../spec/event.ts';
import { type ServerName, serverNameOf, type UserId } from '../../spec/identifiers.ts';
import { someAtATime } from '../some-at-a-time.ts';
import type { ClaimedKey, KeyClaim } from '../storage/device-keys.ts';
import { turns } from '../turns.ts';
import type { DeviceKeys } from './device-keys.ts';
import type { KeyAnswerBudget } from './key-answer-budget.ts';
import {
  type ByUser,
  emptyAnswer,
  type KeyDirectory,
  leftOutText,
  type PublishedKeys,
  type WantedDevices,
} from './key-directory.ts';
import type { RemoteDeviceLists } from './remote-device-lists.ts';
import { isObject, type RemoteKeys } from './remote-keys.ts';

export interface KeyQueriesDeps {
  readonly directory: KeyDirectory;
  readonly deviceKeys: DeviceKeys;
  readonly remoteLists: RemoteDeviceLists;
  readonly serverName: ServerName;
}

export type Failures = Record<string, JsonObject>;
/** By user, device, and `algorithm:key id`. */
export type KeysByDevice = Record<string, Record<string, JsonObject>>;

/** What one query has gathered besides keys. */
interface Asking {
  readonly deadlineMs: number;
  readonly budget: KeyAnswerBudget;
  readonly failures: Failures;
}

const defaultTimeoutMs = 10_000;
const maxTimeoutMs = 20_000;
/** Of one question; the next are asked when these have answered, as long as there is time. */
const maxServersAtOnce = 10;
const maxListsAtOnce = 8;

/** Until when other servers may answer, as `performance.now()` has it. */
const deadlineOf = (timeoutMs: number | undefined): number =>
  performance.now() + Math.min(Math.max(1, timeoutMs ?? defaultTimeoutMs), maxTimeoutMs);

const leftUntil = (deadlineMs: number): number => {
  const leftMs = deadlineMs - performance.now();
  if (leftMs <= 0) throw new Error('There was no time left to ask');
  return leftMs;
};

export class KeyQueries {
  readonly #deps: KeyQueriesDeps;
  #remote: RemoteKeys | undefined;

  constructor(deps: KeyQueriesDeps) {
    this.#deps = deps;
  }

  askThrough(remote: RemoteKeys): void {
    this.#remote = remote;
  }

  /**
   * Whose keys make the answer too large is left out, with their server among the failures: clients
   * ask again for users of such servers, and get them when they ask for fewer at once.
   */
  async query(
    viewer: UserId,
    wanted: WantedDevices,
    timeoutMs: number | undefined,
  ): Promise<PublishedKeys & { failures: Failures }> {
    const { directory, serverName } = this.#deps;
    const failures: Failures = emptyRecord();
    const byServer = groupByServer(wanted, ([userId]) => userId);
    const mine = new Map(byServer.get(serverName));
    byServer.delete(serverName);
    const asking = { deadlineMs: deadlineOf(timeoutMs), budget: directory.budget(), failures };
    const answers: PublishedKeys[] = [];
    await Promise.all([
      this.#fitting(serverName, mine, asking)
        .then((wantedHere) => directory.local(wantedHere, viewer))
        .then((local) => answers.push(local)),
      someAtATime(byServer, maxServersAtOnce, async ([server, entries]) => {
        answers.push(await this.#queryServer(server, viewer, new Map(entries), asking));
      }),
    ]);
    const answer = emptyAnswer();
    for (const part of answers) {
      Object.assign(answer.device_keys, part.device_keys);
      Object.assign(answer.master_keys, part.master_keys);
      Object.assign(answer.self_signing_keys, part.self_signing_keys);
      Object.assign(answer.user_signing_keys, part.user_signing_keys);
    }
    return { ...answer, failures };
  }

  async claim(
    viewer: UserId,
    claims: readonly KeyClaim[],
    timeoutMs: number | undefined,
  ): Promise<{ one_time_keys: KeysByDevice; failures: Failures }> {
    const { deviceKeys, serverName } = this.#deps;
    const failures: Failures = emptyRecord();
    const byServer = groupByServer(claims, ({ userId }) => userId);
    const mine = byServer.get(serverName) ?? [];
    byServer.delete(serverName);
    const deadlineMs = deadlineOf(timeoutMs);
    const answers: KeysByDevice[] = [];
    await Promise.all([
      deviceKeys
        .claim({ userId: viewer }, mine)
        .then((claimed) => answers.push(claimedKeys(claimed))),
      someAtATime(byServer, maxServersAtOnce, async ([server, theirs]) => {
        answers.push(await this.#claimFrom(server, viewer, theirs, deadlineMs, failures));
      }),
    ]);
    return { one_time_keys: Object.assign(emptyRecord(), ...answers) as KeysByDevice, failures };
  }

  /**
   * Lists that are followed come from here; of those that can be followed as many are fetched first
   * as half of the time allows. All others are asked for at once.
   */
  async #queryServer(
    server: ServerName,
    viewer: UserId,
    wanted: WantedDevices,
    asking: Asking,
  ): Promise<PublishedKeys> {
    const { directory, remoteLists } = this.#deps;
    const { deadlineMs, failures } = asking;
    const users = [...wanted.keys()];
    const followed = await remoteLists.followed(viewer, users);
    const sharing = await remoteLists.sharing(
      viewer,
      users.filter((userId) => !followed.has(userId)),
    );
    const halfTimeMs = (performance.now() + deadlineMs) / 2;
    await someAtATime(sharing, maxListsAtOnce, async (userId) => {
      await remoteLists.fetch(userId, leftUntil(halfTimeMs), viewer);
      followed.add(userId);
    }).catch(() => undefined);
    const known = new Map([...wanted].filter(([userId]) => followed.has(userId)));
    const strangers = [...wanted].filter(([userId]) => !followed.has(userId));
    const answer = await directory.remote(await this.#fitting(server, known, asking), viewer);
    if (strangers.length === 0) return answer;
    try {
      if (this.#remote === undefined) throw new Error('There is no federation');
      const asked = Object.fromEntries(strangers.map(([userId, ids]) => [userId, [...ids]]));
      const theirs = await this.#remote.query(server, asked, viewer, leftUntil(deadlineMs));
      await this.#addTold(
        answer,
        strangers.map(([userId]) => userId),
        theirs,
        server,
        asking,
      );
      await this.#addOwnSignatures(answer, viewer, users);
    } catch (error) {
      this.#failed(server, failures, error);
    }
    return answer;
  }

  /** Those whose keys here still go into the answer; one person's always do, where nothing else is. */
  async #fitting(
    server: ServerName,
    wanted: WantedDevices,
    { budget, failures }: Asking,
  ): Promise<WantedDevices> {
    if (wanted.size === 0) return wanted;
    const leftOut = await budget.takeStored([...wanted.keys()]);
    if (leftOut.size === 0) return wanted;
    this.#failed(server, failures, new Error(leftOutText(leftOut.size)));
    return new Map([...wanted].filter(([userId]) => !leftOut.has(userId)));
  }

  /** What a server has told of these people, as far as it goes into the answer. */
  async #addTold(
    answer: PublishedKeys,
    users: readonly UserId[],
    theirs: JsonObject,
    server: ServerName,
    { budget, failures }: Asking,
  ): Promise<void> {
    const giveWay = turns();
    let leftOut = 0;
    for (const userId of users) {
      const devices = objectIn(theirs['device_keys'], userId);
      const master = objectIn(theirs['master_keys'], userId);
      const selfSigning = objectIn(theirs['self_signing_keys'], userId);
      if (!budget.take(JSON.stringify([devices, master, selfSigning]).length)) {
        leftOut += 1;
        continue;
      }
      if (devices !== undefined) answer.device_keys[userId] = objectsIn(devices);
      if (master !== undefined) answer.master_keys[userId] = master;
      if (selfSigning !== undefined) answer.self_signing_keys[userId] = selfSigning;
      await giveWay();
    }
    if (leftOut > 0) this.#failed(server, failures, new Error(leftOutText(leftOut)));
  }

  async #addOwnSignatures(
    answer: PublishedKeys,
    viewer: UserId,
    users: readonly UserId[],
  ): Promise<void> {
    const signatures = await this.#deps.directory.signaturesOn(users, viewer);
    for (const [userId, master] of Object.entries(answer.master_keys)) {
      for (const publicKey of Object.values(isObject(master['keys']) ? master['keys'] : {})) {
        const own = signatures.get(`${userId} ${String(publicKey)}`);
        if (own === undefined) continue;
        const made = isObject(master['signatures']) ? { ...master['signatures'] } : {};
        for (const { signerId, signingKeyId, signature } of own) {
          const before = made[signerId];
          made[signerId] = { ...(isObject(before) && before), [signingKeyId]: signature };
        }
        (answer.master_keys as ByUser)[userId] = { ...master, signatures: made };
      }
    }
  }

  async #claimFrom(
    server: ServerName,
    viewer: UserId,
    claims: readonly KeyClaim[],
    deadlineMs: number,
    failures: Failures,
  ): Promise<KeysByDevice> {
    try {
      if (this.#remote === undefined) throw new Error('There is no federation');
      const asked = emptyRecord<JsonObject>();
      for (const { userId, deviceId, algorithm } of claims) {
        asked[userId] = { ...asked[userId], [deviceId]: algorithm };
      }
      const { one_time_keys: keys } = await this.#remote.claim(
        server,
        asked,
        viewer,
        leftUntil(deadlineMs),
      );
      const answer: KeysByDevice = emptyRecord();
      for (const userId of Object.keys(asked)) {
        const devices = objectIn(keys, userId);
        if (devices !== undefined) answer[userId] = objectsIn(devices);
      }
      return answer;
    } catch (error) {
      this.#failed(server, failures, error);
      return {};
    }
  }

  #failed(server: ServerName, failures: Failures, error: unknown): void {
    failures[server] = {
      errcode: 'M_UNKNOWN',
      error: error instanceof Error ? error.message : 'The server gave no answer',
    };
  }
}

const groupByServer = <T>(
  items: Iterable<T>,
  userOf: (item: T) => UserId,
): Map<ServerName, T[]> => {
  const groups = new Map<ServerName, T[]>();
  for (const item of items) {
    const server = serverNameOf(userOf(item));
    const group = groups.get(server);
    if (group === undefined) groups.set(server, [item]);
    else group.push(item);
  }
  return groups;
};

/** In the form of the wire. */
export const claimedKeys = (claimed: readonly ClaimedKey[]): KeysByDevice => {
  const keys: KeysByDevice = emptyRecord();
  for (const { userId, deviceId, algorithm, keyId, key } of claimed) {
    const ofUser = keys[userId] ?? emptyRecord<JsonObject>();
    ofUser[deviceId] = { ...ofUser[deviceId], [`${algorithm}:${keyId}`]: JSON.parse(key) };
    keys[userId] = ofUser;
  }
  return keys;
};

const objectIn = (value: unknown, name: string): JsonObject | undefined => {
  const found = isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
  return isObject(found) ? found : undefined;
};

const objectsIn = (value: JsonObject): Record<string, JsonObject> =>
  Object.fromEntries(
    Object.entries(value).flatMap(([name, entry]) => (isObject(entry) ? [[name, entry]] : [])),
  );
