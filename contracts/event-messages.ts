import { z } from 'zod';
import type { PurchaseEvent, PurchaseEventType, UsageEvent } from './events.js';
import { PROVIDERS } from './providers.js';

/**
 * Events as messages: CloudEvents 1.0 in structured mode, so `type`, `time` and the event itself (`data`) are in one JSON text.
 * Keyed by user id: the events of one user stay in order.
 */
export const TOPICS = { usage: 'token-usage', purchases: 'token-purchase-events' } as const;
export type Topic = (typeof TOPICS)[keyof typeof TOPICS];

export const deadLetterTopic = (topic: string): string => `${topic}.dead-letter`;

export interface EventMessage {
  key: string;
  value: string;
  headers: Record<string, string>;
}

const SOURCE = '/leaky-tokens/token-service';
const USAGE_TYPE = 'TOKEN_USAGE';
const PURCHASE_TYPES = [
  'TOKEN_PURCHASE_STARTED',
  'TOKEN_PURCHASE_PAYMENT_RESERVED',
  'TOKEN_PURCHASE_TOKENS_ALLOCATED',
  'TOKEN_PURCHASE_COMPLETED',
  'TOKEN_PURCHASE_FAILED',
  'PAYMENT_RELEASE_REQUESTED',
] as const satisfies readonly PurchaseEventType[];

const headers = { 'content-type': 'application/cloudevents+json; charset=UTF-8' };

export const usageMessage = (event: UsageEvent): EventMessage => ({
  key: event.userId,
  value: envelope(event.id, USAGE_TYPE, event.timestamp, event.userId, event),
  headers,
});

export const purchaseMessage = (event: PurchaseEvent): EventMessage => ({
  key: event.userId,
  value: envelope(event.id, event.type, event.timestamp, event.sagaId, event),
  headers,
});

function envelope(id: string, type: string, time: string, subject: string, data: object): string {
  return JSON.stringify({ specversion: '1.0', id, source: SOURCE, type, time, subject, datacontenttype: 'application/json', data });
}

// Ids are checked for their form only. A provider or a type that this version does not know is kept for a later one to read.
const common = {
  timestamp: z.iso.datetime({ offset: true }),
  userId: z.guid(),
  orgId: z.guid().nullable(),
  provider: z.enum(PROVIDERS),
  tokens: z.int().min(0),
};

const usageData = z.object({
  ...common,
  id: z.guid(),
  allowed: z.boolean(),
  reason: z.string().nullable(),
  requestId: z.string(),
  tag: z.string().nullable(),
}) satisfies z.ZodType<UsageEvent>;

const purchaseData = z.object({
  ...common,
  id: z.string().min(1),
  type: z.enum(PURCHASE_TYPES),
  sagaId: z.guid(),
  correlationId: z.string(),
  failureReason: z.string().nullable(),
}) satisfies z.ZodType<PurchaseEvent>;

const cloudEvent = <Type extends z.ZodType<string>, Event>(type: Type, data: z.ZodType<Event>) =>
  z.object({ specversion: z.literal('1.0'), id: z.string(), source: z.string(), type, data });

const usageSchema = cloudEvent(z.literal(USAGE_TYPE), usageData);
const purchaseSchema = cloudEvent(z.enum(PURCHASE_TYPES), purchaseData);

/** Why a message cannot be read. */
export class NotAnEvent extends Error {
  override readonly name = 'NotAnEvent';
  constructor(
    readonly reason: 'NOT_JSON' | 'NOT_AN_EVENT',
    message: string,
  ) {
    super(message);
  }
}

/** @throws NotAnEvent */
export const readUsage = (text: string): UsageEvent => read(usageSchema, text);

/** @throws NotAnEvent */
export const readPurchase = (text: string): PurchaseEvent => read(purchaseSchema, text);

function read<Event extends { id: string }>(schema: z.ZodType<{ id: string; data: Event }>, text: string): Event {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new NotAnEvent('NOT_JSON', error instanceof Error ? error.message : String(error));
  }
  const { data: event, error } = schema.safeParse(value);
  if (error) throw new NotAnEvent('NOT_AN_EVENT', error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; '));
  if (event.id !== event.data.id) throw new NotAnEvent('NOT_AN_EVENT', 'id: is not the id of the data');
  return event.data;
}
