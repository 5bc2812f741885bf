/**
 * The core of the server, built in order: the log, what is kept in memory of rooms and users, and
 * the services that work on them. Tests and `main.ts` build it the same way.
 */
import type { Logger } from 'pino';
import type { RoomId, ServerName, UserId } from '../spec/identifiers.ts';
import type { SigningKey } from '../spec/signing.ts';
import type { Clock } from './clock.ts';
import { createEncryption, type Encryption } from './encryption/create-encryption.ts';
import type { RateLimits } from './http/rate-limits.ts';
import { KeyedQueue } from './keyed-queue.ts';
import { MemoryBudget } from './memory-budget.ts';
import { atOwner, type Owners, soleOwner } from './owners.ts';
import { Notifications } from './push/notifications.ts';
import { PushEvaluator } from './push/push-evaluator.ts';
import { PushRules } from './push/push-rules.ts';
import { UnreadCounts } from './push/unread-counts.ts';
import type { Random } from './random.ts';
import { Aggregations } from './rooms/aggregations.ts';
import { Appender } from './rooms/append.ts';
import { AuthChains } from './rooms/auth-chains.ts';
import { ClientEvents } from './rooms/client-events.ts';
import { DeviceTransactions } from './rooms/device-transactions.ts';
import { EventStore } from './rooms/event-store.ts';
import { ExtremityReducer } from './rooms/extremity-reducer.ts';
import { LocalEvents } from './rooms/local-events.ts';
import { MembershipEffects } from './rooms/membership-effects.ts';
import { OutboundLog } from './rooms/outbound-log.ts';
import { PolicyServers } from './rooms/policy-servers.ts';
import { RoomAccesses } from './rooms/room-accesses.ts';
import { RoomActivity } from './rooms/room-activity.ts';
import { RoomFollower } from './rooms/room-follower.ts';
import { RoomObserver } from './rooms/room-observer.ts';
import { RoomRegistry } from './rooms/room-registry.ts';
import { SnapshotStore } from './rooms/snapshot-store.ts';
import { StateMerger } from './rooms/state-merger.ts';
import { Timeline } from './rooms/timeline.ts';
import { UserRooms } from './rooms/user-rooms.ts';
import { Visibility } from './rooms/visibility.ts';
import { shareRateLimits } from './shared-rate-limits.ts';
import type { Database } from './storage/database.ts';
import { IdAllocator } from './storage/id-allocator.ts';
import { AccountData } from './streams/account-data.ts';
import { type Broadcast, Serials, SoleBroadcast } from './streams/broadcast.ts';
import { Log, type LogOptions, unknownPosition } from './streams/log.ts';
import { Notifier } from './streams/notifier.ts';
import { Presence } from './streams/presence.ts';
import { Receipts } from './streams/receipts.ts';
import { Typing } from './streams/typing.ts';

export interface CoreOptions {
  readonly log?: LogOptions;
  /** How the log is come by; otherwise this process writes it itself. */
  readonly openLog?: (() => Promise<Log>) | undefined;
  readonly database: Database;
  readonly logger: Logger;
  readonly serverName: ServerName;
  /** The key that signs events now: asked for every event, so that it can be changed. */
  readonly signingKey: () => SigningKey;
  readonly clock: Clock;
  readonly random: Random;
  /** Whether presence is kept and shown; it is unless told otherwise. */
  readonly presenceEnabled?: boolean;
  /** Whether who types is kept and shown: yes unless told otherwise. */
  readonly typingEnabled?: boolean;
  /** Whether people are told what the devices of others are called: not unless told so. */
  readonly showDeviceNames?: boolean;
  /** What caches may take: `caches.max_bytes`. */
  readonly maxCacheBytes?: number;
  /** Who answers for what, where the server is several processes. */
  readonly owners?: Owners | undefined;
  /** How processes tell each other what is in no log; otherwise there is this one alone. */
  readonly broadcast?: Broadcast | undefined;
  /** Of what one request may do many times; none without. */
  readonly rateLimits?: RateLimits | undefined;
}

export interface Core {
  readonly database: Database;
  readonly logger: Logger;
  readonly serverName: ServerName;
  readonly signingKey: () => SigningKey;
  readonly clock: Clock;
  readonly random: Random;
  readonly owners: Owners;
  readonly budget: MemoryBudget;
  readonly ids: IdAllocator;
  readonly log: Log;
  readonly notifier: Notifier;
  readonly events: EventStore;
  readonly snapshots: SnapshotStore;
  readonly chains: AuthChains;
  readonly merger: StateMerger;
  readonly extremityReducer: ExtremityReducer;
  readonly userRooms: UserRooms;
  readonly activity: RoomActivity;
  readonly observer: RoomObserver;
  readonly registry: RoomRegistry;
  /**
   * For whoever makes or ends the row of a room that this server did not create: one at a time. These
   * turns are of this process alone: of several, only the one that writes to the room may take one. They
   * end with it.
   */
  readonly roomTurns: KeyedQueue<RoomId>;
  readonly appender: Appender;
  readonly policyServers: PolicyServers;
  readonly localEvents: LocalEvents;
  readonly outbound: OutboundLog;
  readonly transactions: DeviceTransactions;
  readonly visibility: Visibility;
  readonly access: RoomAccesses;
  readonly timeline: Timeline;
  readonly clientEvents: ClientEvents;
  readonly aggregations: Aggregations;
  readonly accountData: AccountData;
  readonly receipts: Receipts;
  readonly typing: Typing;
  readonly presence: Presence;
  readonly encryption: Encryption;
  readonly pushRules: PushRules;
  readonly pushEvaluator: PushEvaluator;
  readonly unreadCounts: UnreadCounts;
  readonly notifications: Notifications;
  /** Waits until everything appended is durable. The database stays open: its owner closes it. */
  close(): Promise<void>;
}

/** How far back of the log a start reads; what that may bring is bounded for each stream. */
const positionsRemembered = 100_000;

export const createCore = async (options: CoreOptions): Promise<Core> => {
  const { database, logger, serverName, signingKey, clock, random } = options;
  const { owners = soleOwner } = options;
  const ids = await IdAllocator.open(database);
  const log = await (options.openLog?.() ?? Log.open(database, logger, options.log));
  const broadcast = options.broadcast ?? new SoleBroadcast(await Serials.open(database));
  if (options.rateLimits !== undefined && owners !== soleOwner) {
    shareRateLimits(options.rateLimits, broadcast, random);
  }
  const notifier = new Notifier();
  const budget = new MemoryBudget(options.maxCacheBytes);
  const events = new EventStore(database, budget);
  log.follow({ reset: () => events.clear() });
  const snapshots = new SnapshotStore(database);
  log.follow({ reset: () => snapshots.clear() });
  const chains = new AuthChains(database, ids, events);
  log.follow({ reset: () => chains.clear() });
  const merger = new StateMerger({ events, snapshots, chains, ids });
  log.follow({ reset: () => merger.clear() });
  const userRooms = new UserRooms(database, log);
  log.follow({ reset: () => userRooms.clear() });
  const activity = new RoomActivity(log.position, budget);
  log.follow(activity);
  const observer = new RoomObserver({ userRooms, activity, notifier, localServer: serverName });
  const registry = new RoomRegistry({
    logger,
    db: database,
    log,
    events,
    snapshots,
    localServer: serverName,
    budget,
  });
  log.follow({ reset: () => registry.clear() });
  new RoomFollower({ log, events, snapshots, chains, registry, observer });
  const membershipEffects = new MembershipEffects(events);
  const appender = new Appender({
    log,
    ids,
    events,
    snapshots,
    registry,
    merger,
    chains,
    membershipEffects,
  });
  const policyServers = new PolicyServers({ events });
  const localEventsHere = new LocalEvents({
    registry,
    appender,
    events,
    policyServers,
    snapshots,
    merger,
    serverName,
    signingKey,
    clock,
    random,
  });
  const localEvents = atOwner(owners, 'localEvents', localEventsHere, {
    send: (roomId) => roomId,
  });
  const outbound = new OutboundLog(database, log, budget);
  log.follow(outbound);
  observer.onAppended((room, _events, write) => outbound.follow(room, write));
  observer.onUnseen((write) => outbound.followUnseen(write));
  const extremityReducer = new ExtremityReducer({ observer, localEvents, policyServers, logger });
  const transactions = new DeviceTransactions(database, log);
  log.follow({ reset: () => transactions.forget() });
  const visibility = new Visibility(events, snapshots);
  const access = new RoomAccesses({
    database,
    log,
    events,
    snapshots,
    visibility,
    registry,
    userRooms,
  });
  const timeline = new Timeline(database, events, registry);
  const clientEvents = new ClientEvents(events, clock);
  const accountData = atOwner(
    owners,
    'accountData',
    new AccountData({ db: database, log, notifier, budget, owners }),
    { put: (userId) => userId, erase: (userId) => userId, replace: (userId) => userId },
  );
  log.follow(accountData);
  const aggregations = new Aggregations({ db: database, events, accountData });
  const receipts = new Receipts({
    db: database,
    log,
    notifier,
    registry,
    events,
    accountData,
    clock,
    budget,
    serverName,
  });
  log.follow(receipts);
  const typing = new Typing({
    registry,
    clock,
    notifier,
    broadcast,
    owners,
    userRooms,
    serverName,
    enabled: options.typingEnabled ?? true,
  });
  const presence = new Presence(
    {
      db: database,
      logger,
      clock,
      notifier,
      observer,
      registry,
      userRooms,
      serverName,
      broadcast,
      owners,
    },
    { enabled: options.presenceEnabled ?? true },
  );
  log.follow(presence);
  receipts.onLocalReceipt((_room, { userId }) => presence.acted(userId));
  typing.onLocalChange(({ userId, typing: isTyping }) => {
    if (isTyping) presence.acted(userId);
  });
  const encryption = createEncryption({
    db: database,
    log,
    logger,
    notifier,
    clock,
    random,
    serverName,
    userRooms,
    registry,
    observer,
    budget,
    broadcast,
    limits: options.rateLimits,
    showsDeviceNames: options.showDeviceNames ?? false,
  });
  log.follow(encryption);
  const pushRules = atOwner(
    owners,
    'pushRules',
    new PushRules({ db: database, log, notifier, owners }),
    { replace: (userId) => userId },
  );
  log.follow(pushRules);
  const pushEvaluator = new PushEvaluator(database, events, registry);
  const unreadCounts = new UnreadCounts({
    database,
    logger,
    registry,
    events,
    receipts,
    accountData,
    pushRules,
    evaluator: pushEvaluator,
    budget,
  });
  log.follow(unreadCounts);
  const notifications = new Notifications({
    db: database,
    log,
    userRooms,
    registry,
    access,
    events,
    accountData,
    pushRules,
    evaluator: pushEvaluator,
    unreadCounts,
  });
  observer.onAppended((room, appended) => {
    for (const { event } of appended) {
      if (event.type !== 'm.room.member' || event.stateKey === undefined) continue;
      const userId = event.stateKey as UserId;
      if (room.membership(userId) !== 'join') typing.left(room, userId);
    }
  });

  // Last, so that whoever is woken finds memory in order.
  log.follow({
    reset: (position) => {
      if (position !== unknownPosition) notifier.wakeAll();
    },
  });
  log.onAdvance(() => notifier.flush());

  // Clients come back at once after a restart, with tokens from just before it.
  const recently = Math.max(0, log.position - positionsRemembered);
  await Promise.all([
    activity.fill(database, recently),
    accountData.fill(recently),
    receipts.fill(recently),
    encryption.fill(recently),
    presence.recall(),
  ]);

  return {
    database,
    logger,
    serverName,
    signingKey,
    clock,
    random,
    owners,
    budget,
    ids,
    log,
    notifier,
    events,
    snapshots,
    chains,
    merger,
    extremityReducer,
    userRooms,
    activity,
    observer,
    registry,
    roomTurns: new KeyedQueue(),
    appender,
    policyServers,
    localEvents,
    outbound,
    transactions,
    visibility,
    access,
    timeline,
    clientEvents,
    aggregations,
    accountData,
    receipts,
    typing,
    presence,
    encryption,
    pushRules,
    pushEvaluator,
    unreadCounts,
    notifications,
    close: async () => {
      typing.close();
      await presence.close();
      await encryption.close();
      await unreadCounts.close();
      await log.close();
    },
  };
};
