/** What the well-known files of this server say; see the configuration. */
import type { JsonObject } from '../../spec/event.ts';

export interface WellKnown {
  /** Where clients reach the server; they are not told without. */
  readonly clientBaseUrl: string | undefined;
  /** Contacts and support page, in the specification's form. */
  readonly support: JsonObject | undefined;
  /** What clients are told besides, under names of others: `org.matrix.msc4143.rtc_foci`. */
  readonly clientExtra: JsonObject;
}
