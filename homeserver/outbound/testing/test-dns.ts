/**
 * A small DNS server on loopback for tests: answers A, AAAA, CNAME and SRV queries over UDP from a
 * table that the test may change at any time, and counts what it was asked.
 *
 * https://www.rfc-editor.org/rfc/rfc1035#section-4
 */
import { createSocket, type Socket } from 'node:dgram';
import { isIPv4 } from 'node:net';
import ipaddr from 'ipaddr.js';

const TYPES = { A: 1, CNAME: 5, AAAA: 28, SRV: 33 } as const;
const NXDOMAIN = 3;
const SERVFAIL = 2;
const ANSWER_TTL_S = 60;

export interface TestSrv {
  readonly target: string;
  readonly port: number;
  readonly priority?: number;
  readonly weight?: number;
}

/** What a name has; `broken` makes the server fail, `silent` makes it say nothing. */
export interface TestName {
  readonly addresses?: readonly string[];
  readonly cname?: string;
  readonly srv?: readonly TestSrv[];
  readonly broken?: boolean;
  readonly silent?: boolean;
}

const encodeName = (name: string): Buffer =>
  Buffer.concat([
    ...name
      .split('.')
      .filter((label) => label !== '')
      .map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'ascii')])),
    Buffer.from([0]),
  ]);

const readQuestion = (query: Buffer): { name: string; type: number; end: number } => {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('ascii', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
};

const record = (name: string, type: number, data: Buffer): Buffer => {
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(ANSWER_TTL_S, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([encodeName(name), fixed, data]);
};

const srvData = ({ target, port, priority = 0, weight = 0 }: TestSrv): Buffer => {
  const fixed = Buffer.alloc(6);
  fixed.writeUInt16BE(priority, 0);
  fixed.writeUInt16BE(weight, 2);
  fixed.writeUInt16BE(port, 4);
  return Buffer.concat([fixed, encodeName(target)]);
};

export class TestDns {
  /** Lower-case names to what they have. */
  readonly names: Map<string, TestName>;
  /** `name type` of every query, in order. */
  readonly queries: string[] = [];
  readonly #socket: Socket;

  private constructor(socket: Socket, names: Readonly<Record<string, TestName>>) {
    this.#socket = socket;
    this.names = new Map(Object.entries(names));
    socket.on('message', (query, from) => {
      const answer = this.#answer(query);
      if (answer !== undefined) socket.send(answer, from.port, from.address);
    });
  }

  static async start(names: Readonly<Record<string, TestName>> = {}): Promise<TestDns> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    return new TestDns(socket, names);
  }

  /** For `DnsResolver`'s `servers`. */
  get server(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #answer(query: Buffer): Buffer | undefined {
    const { name, type, end } = readQuestion(query);
    const typeName = Object.entries(TYPES).find(([, number]) => number === type)?.[0] ?? type;
    this.queries.push(`${name} ${typeName}`);
    const found = this.names.get(name);
    if (found?.silent) return undefined;
    const answers = found === undefined ? [] : this.#records(name, type);
    const code = found === undefined ? NXDOMAIN : found.broken ? SERVFAIL : 0;
    const header = Buffer.alloc(12);
    query.copy(header, 0, 0, 2);
    // A response, recursion desired and available.
    header.writeUInt16BE(0x8180 | code, 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(answers.length, 6);
    return Buffer.concat([header, query.subarray(12, end), ...answers]);
  }

  #records(name: string, type: number): Buffer[] {
    const { addresses = [], cname, srv = [], broken } = this.names.get(name) ?? {};
    if (broken) return [];
    if (cname !== undefined) {
      return [record(name, TYPES.CNAME, encodeName(cname)), ...this.#records(cname, type)];
    }
    if (type === TYPES.SRV) return srv.map((one) => record(name, TYPES.SRV, srvData(one)));
    return addresses
      .filter((address) => type === (isIPv4(address) ? TYPES.A : TYPES.AAAA))
      .map((address) => record(name, type, Buffer.from(ipaddr.parse(address).toByteArray())));
  }
}
