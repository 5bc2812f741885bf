/**
 * Frames on a socket: four bytes of length, one byte that says what kind it is, and JSON text.
 * What is sent in one turn of the event loop leaves in one write. Nothing grows without end: a frame
 * has a largest size, and a peer that does not take what it is sent is given up.
 */
import type { Socket } from 'node:net';

export interface FrameLimits {
  /** The largest frame taken from the other side. */
  readonly maxFrameBytes: number;
  /** What may wait for a slow reader; beyond it the connection ends. */
  readonly maxQueuedBytes: number;
}

/** Both are called until, and `onEnd` once when, the socket is gone. */
export interface FrameHandlers {
  /** The payload is part of a buffer that is used again: parse it or copy it. A throw ends the socket. */
  onFrame(kind: number, payload: Buffer): void;
  /** With the reason where there is one besides the other side's going. */
  onEnd(reason: Error | undefined): void;
}

/** The other side does not read what it is sent. */
export class PeerTooSlow extends Error {
  override readonly name = 'PeerTooSlow';
}

const lengthBytes = 4;
const headerBytes = lengthBytes + 1;
/** A larger frame is written as it is; smaller ones are copied together. */
const copiedBytes = 16 * 1024;

/** A frame ready to be sent, to several sockets where that is wanted. */
export const encodeFrame = (kind: number, text: string): Buffer => {
  const bytes = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(headerBytes + bytes);
  frame.writeUInt32BE(bytes + 1, 0);
  frame[lengthBytes] = kind;
  frame.write(text, headerBytes, 'utf8');
  return frame;
};

export class FrameSocket {
  readonly #socket: Socket;
  #limits: FrameLimits;
  #handlers: FrameHandlers;
  /** Sent in this turn. */
  #unwritten: Buffer[] = [];
  #unwrittenBytes = 0;
  /** The beginning of a frame, in the pieces it came in. */
  #pieces: Buffer[] = [];
  #pieceBytes = 0;
  #wantedBytes = headerBytes;
  #reason: Error | undefined;
  #isEnded = false;

  constructor(socket: Socket, limits: FrameLimits, handlers: FrameHandlers) {
    this.#socket = socket;
    this.#limits = limits;
    this.#handlers = handlers;
    // Bytes are gathered here already.
    socket.setNoDelay(true);
    socket.on('data', (data: Buffer) => this.#read(data));
    socket.on('error', (error) => {
      this.#reason ??= error;
    });
    socket.on('close', () => {
      this.#isEnded = true;
      this.#unwritten = [];
      this.#pieces = [];
      this.#handlers.onEnd(this.#reason);
    });
  }

  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  /** From the next frame on, be it in the piece that is being read. */
  handOver(limits: FrameLimits, handlers: FrameHandlers): void {
    this.#limits = limits;
    this.#handlers = handlers;
  }

  send(frame: Buffer): void {
    if (this.#isEnded) return;
    this.#unwrittenBytes += frame.length;
    if (this.#unwritten.push(frame) === 1) setImmediate(() => this.#write());
    if (this.#unwrittenBytes + this.#socket.writableLength > this.#limits.maxQueuedBytes) {
      this.destroy(new PeerTooSlow('The other side does not read what it is sent'));
    }
  }

  /** Writes what was sent, and ends the connection. */
  end(): void {
    if (this.#isEnded) return;
    this.#write();
    this.#isEnded = true;
    this.#socket.end();
  }

  destroy(reason: Error): void {
    this.#reason ??= reason;
    this.#isEnded = true;
    this.#unwritten = [];
    this.#socket.destroy();
  }

  #write(): void {
    const frames = this.#unwritten;
    if (frames.length === 0) return;
    this.#unwritten = [];
    this.#unwrittenBytes = 0;
    if (frames.length === 1) {
      this.#socket.write(frames[0] as Buffer);
      return;
    }
    this.#socket.cork();
    let from = 0;
    for (let at = 0; at <= frames.length; at++) {
      const frame = frames[at];
      if (frame !== undefined && frame.length < copiedBytes) continue;
      if (at > from) this.#socket.write(Buffer.concat(frames.slice(from, at)));
      if (frame !== undefined) this.#socket.write(frame);
      from = at + 1;
    }
    this.#socket.uncork();
  }

  #read(data: Buffer): void {
    if (this.#isEnded) return;
    let chunk = data;
    if (this.#pieceBytes > 0) {
      this.#pieces.push(data);
      this.#pieceBytes += data.length;
      if (this.#pieceBytes < this.#wantedBytes) return;
      chunk = Buffer.concat(this.#pieces, this.#pieceBytes);
      this.#pieces = [];
      this.#pieceBytes = 0;
    }
    const rest = this.#readFrames(chunk);
    if (this.#isEnded || rest === chunk.length) return;
    this.#pieces = [chunk.subarray(rest)];
    this.#pieceBytes = chunk.length - rest;
  }

  /** Where the first unfinished frame begins. */
  #readFrames(chunk: Buffer): number {
    let at = 0;
    while (!this.#socket.destroyed) {
      this.#wantedBytes = headerBytes;
      if (chunk.length - at < headerBytes) return at;
      const bytes = chunk.readUInt32BE(at);
      if (bytes === 0 || bytes > this.#limits.maxFrameBytes) {
        this.destroy(new Error(`A frame of ${bytes} bytes`));
        return at;
      }
      this.#wantedBytes = lengthBytes + bytes;
      if (chunk.length - at < this.#wantedBytes) return at;
      const end = at + this.#wantedBytes;
      try {
        const kind = chunk[at + lengthBytes] as number;
        this.#handlers.onFrame(kind, chunk.subarray(at + headerBytes, end));
      } catch (error) {
        this.destroy(error as Error);
      }
      at = end;
    }
    return at;
  }
}
