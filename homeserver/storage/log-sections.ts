/** Every kind of row the log takes, by name: how rows from other processes find their section. */
import type { LogSection } from '../streams/log-batch.ts';
import { roomPurges } from './abandoned-rooms.ts';
import { accountDataSection } from './account-data.ts';
import { deviceListsSection } from './device-lists.ts';
import { roomEvents } from './event-section.ts';
import { forgottenRooms } from './forgotten-rooms.ts';
import { inboundPdus } from './inbound-pdus.ts';
import { outboundEdusSection } from './outbound-edus.ts';
import { outsideMemberships } from './outside-memberships.ts';
import { pushRulesSection } from './push-rules.ts';
import { receiptsSection } from './receipts.ts';
import { toDeviceSection } from './to-device.ts';

const sections = [
  accountDataSection,
  deviceListsSection,
  forgottenRooms,
  inboundPdus,
  outboundEdusSection,
  outsideMemberships,
  pushRulesSection,
  receiptsSection,
  roomEvents,
  roomPurges,
  toDeviceSection,
] as readonly unknown[] as readonly LogSection<unknown>[];

export const logSections: ReadonlyMap<string, LogSection<unknown>> = new Map(
  sections.map((section) => [section.name, section]),
);
