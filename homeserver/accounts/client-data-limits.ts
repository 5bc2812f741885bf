/**
 * How much one person may keep here, besides what they say in rooms. Real clients stay far below;
 * whoever reaches a bound is told so, and has to delete something first. Numbers are of one account
 * unless they say otherwise; bytes are of UTF-8.
 */

const KIB = 1_024;
const MIB = 1_024 * KIB;

export const clientDataLimits = {
  /** Beyond it the device unseen for the longest time goes: nobody is kept from logging in. */
  devices: 200,

  filters: { count: 1_000, bytesEach: 64 * KIB, bytes: 1 * MIB },

  /** Entries of the account and of all rooms; read markers and tags are among them. */
  accountData: { entries: 20_000, bytesEach: 64 * KIB, bytes: 16 * MIB },

  /** Of one device. */
  oneTimeKeys: { count: 1_000, algorithms: 20, bytesEach: 8 * KIB },
  deviceKeys: { bytesEach: 64 * KIB },

  /** Of all versions together. A key is one session of one room. */
  keyBackups: {
    versions: 100,
    deletedVersions: 100,
    authDataBytes: 64 * KIB,
    keyBytesEach: 64 * KIB,
    keys: 250_000,
    keyBytes: 256 * MIB,
  },

  /** Of one request. What goes to all devices of a user is stored once for each of them. */
  toDevice: { messages: 10_000, bytesEach: 64 * KIB, bytesToAllDevices: 64 * KIB },
} as const;
