import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/** A DNS server on this machine that answers A and SRV questions from what the test says (RFC 1035, RFC 2782; no compression). */
export interface TestDns {
  /** `address:port` */
  address: string;
  /** Name → IPv4 addresses */
  a: Map<string, string[]>;
  srv: Map<string, { priority: number; weight: number; port: number; name: string }[]>;
  /** While true, every question is answered with SERVFAIL */
  failing: boolean;
  close(): Promise<void>;
}

const TYPES = { A: 1, SRV: 33 };
const HEADER_BYTES = 12;
const [NO_ERROR, SERVER_FAILURE, NO_SUCH_NAME] = [0, 2, 3];

export async function startTestDns(): Promise<TestDns> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const dns: TestDns = {
    address: `127.0.0.1:${socket.address().port}`,
    a: new Map(),
    srv: new Map(),
    failing: false,
    close: () => new Promise((resolve) => socket.close(resolve)),
  };
  socket.on('message', (query, { address, port }) => socket.send(answer(dns, query), port, address));
  return dns;
}

function answer({ a, srv, failing }: TestDns, query: Buffer): Buffer {
  const { name, end } = readName(query);
  const type = query.readUInt16BE(end);
  const found =
    type === TYPES.A
      ? (a.get(name) ?? []).map((address) => Buffer.from(address.split('.').map(Number)))
      : type === TYPES.SRV
        ? (srv.get(name) ?? []).map(({ priority, weight, port, name: target }) =>
            Buffer.concat([...[priority, weight, port].map(sixteenBits), writeName(target)]),
          )
        : [];
  const records = failing ? [] : found;
  const code = failing ? SERVER_FAILURE : a.has(name) || srv.has(name) ? NO_ERROR : NO_SUCH_NAME;
  const header = [query.readUInt16BE(0), 0x8180 | code, 1, records.length, 0, 0].map(sixteenBits);
  const question = query.subarray(HEADER_BYTES, end + 4);
  const body = records.map((data) => Buffer.concat([writeName(name), ...[type, 1, 0, 0, data.length].map(sixteenBits), data]));
  return Buffer.concat([...header, question, ...body]);
}

const sixteenBits = (value: number): Buffer => Buffer.from([value >> 8, value & 255]);

const writeName = (name: string): Buffer =>
  Buffer.concat([...name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])), Buffer.from([0])]);

function readName(query: Buffer): { name: string; end: number } {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += length + 1;
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 };
}
