/** The byte that says what a frame holds. Part of the protocol between processes: never used anew. */
export const frameKind = {
  /** Who one is; the handshake. */
  hello: 1,
  /** That one knows the secret; the handshake. */
  proof: 2,
  /** Nothing, but that one lives. */
  ping: 3,
  /** `[call id, method, arguments]` */
  call: 4,
  /** `[call id, result]` */
  answer: 5,
  /** `[call id, TravellingError]` */
  failure: 6,
  /** Leader to member, first of all: `[position, epoch, members]` */
  welcome: 16,
  /** Leader to members: `[epoch, members]` */
  membership: 17,
  /** Leader to members: `[after, position, writes]` */
  stream: 18,
  /** Leader to members, where what was written is too large to tell: `[position]` */
  reset: 19,
  /** Member to leader: it wants to own nothing any more. */
  leaving: 20,
} as const;
