/**
 * Reports of rooms, events and users, kept for those who run the server.
 * https://spec.matrix.org/v1.19/client-server-api/#reporting-content
 */
import { matrixError } from '../../spec/errors.ts';
import { type EventId, fitsInBytes, type RoomId, type UserId } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import type { Database } from '../storage/database.ts';
import { insertReport, type Report } from '../storage/reports.ts';
import type { EventStore } from './event-store.ts';
import type { RoomRegistry } from './room-registry.ts';

export interface ReportsDeps {
  readonly database: Database;
  readonly registry: RoomRegistry;
  readonly events: EventStore;
  readonly clock: Clock;
}

const maxReasonBytes = 10_000;

export class Reports {
  readonly #deps: ReportsDeps;

  constructor(deps: ReportsDeps) {
    this.#deps = deps;
  }

  /** @throws MatrixError M_NOT_FOUND */
  async ofRoom(reporter: UserId, roomId: RoomId, reason: string | undefined): Promise<void> {
    if ((await this.#deps.registry.find(roomId)) === undefined) {
      throw matrixError('M_NOT_FOUND', 'The room was not found');
    }
    await this.#keep({ reporter, roomId, reason });
  }

  /** @throws MatrixError M_NOT_FOUND also for those who are not in the room */
  async ofEvent(
    reporter: UserId,
    roomId: RoomId,
    eventId: EventId,
    reason: string | undefined,
  ): Promise<void> {
    const room = await this.#deps.registry.find(roomId);
    const stored =
      room?.membership(reporter) === 'join' ? await this.#deps.events.byId(eventId) : undefined;
    if (room === undefined || stored?.roomNid !== room.nid) {
      throw matrixError('M_NOT_FOUND', 'The event was not found or you are not in the room');
    }
    await this.#keep({ reporter, roomId, eventId, userId: stored.event.sender, reason });
  }

  /** Whether there is such a user is not told. */
  async ofUser(reporter: UserId, userId: UserId, reason: string | undefined): Promise<void> {
    await this.#keep({ reporter, userId, reason });
  }

  async #keep(report: Omit<Report, 'receivedAtMs'>): Promise<void> {
    if (report.reason !== undefined && !fitsInBytes(report.reason, maxReasonBytes)) {
      throw matrixError('M_TOO_LARGE', `A reason may have ${maxReasonBytes} bytes`);
    }
    const { database, clock } = this.#deps;
    await database.transaction((tx) =>
      insertReport(tx, { ...report, receivedAtMs: clock.nowMs() }),
    );
  }
}
