import type { Request } from 'express';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Config } from '../../config.js';
import { isUnder } from './routes.js';

export type RouteRule = Config['gateway']['routeRules'][string];

/** Meaningful for one connection only (RFC 9110, 7.6.1), or settled by the gateway itself. */
const HOP_BY_HOP = ['connection', 'keep-alive', 'proxy-connection', 'proxy-authorization', 'te', 'trailer', 'upgrade', 'expect'];
const FORWARDED = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-port', 'x-forwarded-proto', 'x-real-ip'];
/** Who a request comes from is proven by its token; a client must not be able to say so in a header. */
const IDENTITY = /^x-(?:user|internal|org|username|roles|authenticated|leaky)(?:-|$)/;
/** The gateway has its own answer to these; the service's must not stand beside or replace it. */
const OWN_ANSWERS = /^(?:access-control-|x-ratelimit-|ratelimit|x-correlation-id$|connection$|keep-alive$|proxy-|x-leaky-)/;

/** True when the header may be believed: the peer that sent it is a proxy of ours. */
function peerIsTrusted(req: Request): boolean {
  const trusts = req.app.get('trust proxy fn') as (address: string, hop: number) => boolean;
  return trusts(req.socket.remoteAddress ?? '', 0);
}

/** Removes what a client may not say to a service. Works on `req.headers` itself: they are what the proxy sends on. */
export function cleanRequestHeaders(req: Request): void {
  const { headers } = req;
  const named = headers.connection?.toLowerCase().split(',') ?? [];
  for (const name of named) dropUnlessNeeded(headers, name.trim());
  for (const name of HOP_BY_HOP) delete headers[name];
  if (!peerIsTrusted(req)) for (const name of FORWARDED) delete headers[name];
  setForwarded(req);
  // Underscores become dashes in CGI-like services, so X_User_Id is X-User-Id to them.
  for (const name in headers) if (name.startsWith('x') && IDENTITY.test(name.replaceAll('_', '-'))) delete headers[name];
}

/** Says to the service what only this hop knows. What a trusted proxy said before stays. */
function setForwarded(req: Request): void {
  const { headers } = req;
  const before = headers['x-forwarded-for'];
  const address = req.socket.remoteAddress ?? '';
  headers['x-forwarded-for'] = before === undefined ? address : `${String(before)}, ${address}`;
  headers['x-forwarded-host'] ??= headers.host ?? '';
  headers['x-forwarded-proto'] ??= 'encrypted' in req.socket ? 'https' : 'http';
}

/** A client may name hop-by-hop headers of its own, but must not use that to take away what the gateway relies on. */
function dropUnlessNeeded(headers: IncomingHttpHeaders, name: string): void {
  if (!['host', 'authorization', 'x-api-key', 'x-correlation-id', 'content-length', 'transfer-encoding', 'content-type'].includes(name)) {
    delete headers[name];
  }
}

export function cleanResponseHeaders(answer: IncomingMessage): void {
  for (const name in answer.headers) if (OWN_ANSWERS.test(name)) delete answer.headers[name];
}

export function applyRequestRule(req: Request, rule: RouteRule): void {
  for (const name of rule.removeRequestHeaders) delete req.headers[name.toLowerCase()];
  for (const [name, value] of Object.entries(rule.addRequestHeaders)) req.headers[name.toLowerCase()] = value;
}

export function applyResponseRule(answer: IncomingMessage, rule: RouteRule): void {
  for (const name of rule.removeResponseHeaders) delete answer.headers[name.toLowerCase()];
  for (const [name, value] of Object.entries(rule.addResponseHeaders)) answer.headers[name.toLowerCase()] = value;
}

/** Replaces the prefix `from` of the path, which ends at a segment's end, by `to`; the query stays. */
export function rewritePath(target: string, rule: RouteRule): string {
  const rewrite = rule.rewritePath;
  const [path = '/', query] = target.split(/\?(.*)/s, 2);
  if (!rewrite || !isUnder(path, rewrite.from)) return target;
  const rest = path.slice(rewrite.from.length);
  const joined = rewrite.to.endsWith('/') && rest.startsWith('/') ? rewrite.to + rest.slice(1) : rewrite.to + rest;
  return query === undefined ? joined : `${joined}?${query}`;
}
