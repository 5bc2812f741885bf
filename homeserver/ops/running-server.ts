/** What starting a server gives to whoever started it. */

export interface RunningServer {
  /** Where clients reach it, without a slash at the end. */
  readonly baseUrl: string;
  /** Registers one account, as long as the server has none. */
  readonly registrationToken?: string | undefined;
  /** Resolves should the server have to stop: another one has taken its database. */
  readonly failed: Promise<Error>;
  /** Drains: requests finish, long polls return, cursors are saved; then the database stops. */
  stop(): Promise<void>;
  /** Starts what it consists of anew, one process after the other, where there are several. */
  renew?(): Promise<void>;
}
