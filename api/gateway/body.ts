import type { Request } from 'express';
import { Stream } from 'node:stream';
import { Problem } from '../../contracts/errors.js';

const EMPTY = Buffer.alloc(0);

/** The client went away before its request was complete; nobody is left to answer. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone';
}

/**
 * Takes the whole request body before a service sees any of it: a slow sender then holds nothing but its own connection, the
 * length is known however it was sent, and a call may be repeated.
 * @throws Problem PAYLOAD_TOO_LARGE as soon as more than `limitBytes` are announced or have come; ClientGone
 */
export async function readBody(req: Request, limitBytes: number): Promise<Buffer> {
  const announced = req.headers['content-length'];
  if (announced === undefined && req.headers['transfer-encoding'] === undefined) return EMPTY;
  if (Number(announced ?? 0) > limitBytes) throw tooLarge(limitBytes);
  const chunks: Buffer[] = [];
  let size = 0;
  return new Promise((resolve, reject) => {
    const stop = (error: Error) => {
      req.off('data', onData).pause();
      reject(error);
    };
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size > limitBytes) stop(tooLarge(limitBytes));
      else chunks.push(chunk);
    };
    req.on('data', onData);
    req.once('end', () => resolve(chunks.length === 1 ? (chunks[0] ?? EMPTY) : Buffer.concat(chunks, size)));
    req.once('error', (cause) => stop(new ClientGone('the request was cut off', { cause })));
    req.once('close', () => {
      if (!req.complete) stop(new ClientGone('the request was cut off'));
    });
  });
}

const tooLarge = (limitBytes: number) => new Problem('PAYLOAD_TOO_LARGE', `The body is larger than ${limitBytes} bytes`);

/** Bytes at rest, in the one shape the proxy library takes a body in. */
export class BodyBytes extends Stream {
  constructor(private readonly bytes: Buffer) {
    super();
  }
  override pipe<T extends NodeJS.WritableStream>(destination: T): T {
    destination.end(this.bytes);
    return destination;
  }
}
