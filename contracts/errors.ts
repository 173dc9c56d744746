/**
 * The closed table of error codes. `title` is public and constant per code; `detail` of a problem says what was wrong
 * this time. Refusals are values that name a code; faults are thrown as Problem. One place maps both to HTTP: api/http/problem.ts.
 */
export const ERRORS = {
  INVALID_REQUEST: { status: 400, retryable: false, title: 'The request is not valid' },
  MALFORMED_JSON: { status: 400, retryable: false, title: 'The body is not valid JSON' },
  UNKNOWN_PROVIDER: { status: 400, retryable: false, title: 'No such provider' },
  POOL_CAP_EXCEEDED: { status: 400, retryable: false, title: 'The purchase would exceed what the pool may hold' },
  PURCHASE_TOO_SMALL: { status: 400, retryable: false, title: 'The purchase is below the smallest that the payment provider takes' },
  CONTEXT_TOO_LONG: { status: 400, retryable: false, title: 'The prompt is too long for the model' },
  UNKNOWN_MODEL: { status: 400, retryable: false, title: 'The provider has no such model' },
  PROVIDER_REJECTED: { status: 400, retryable: false, title: 'The provider refused the request as invalid' },
  UNAUTHENTICATED: { status: 401, retryable: false, title: 'Authentication is required' },
  INVALID_CREDENTIALS: { status: 401, retryable: false, title: 'The credentials are not valid' },
  INSUFFICIENT_QUOTA: { status: 402, retryable: false, title: 'Insufficient token quota' },
  FORBIDDEN: { status: 403, retryable: false, title: 'Not allowed' },
  NOT_FOUND: { status: 404, retryable: false, title: 'Not found' },
  METHOD_NOT_ALLOWED: { status: 405, retryable: false, title: 'Method not allowed' },
  LIMIT_REACHED: { status: 409, retryable: false, title: 'There may be no more of these' },
  CONFLICT: { status: 409, retryable: false, title: 'Conflict' },
  IDEMPOTENCY_KEY_REUSED: { status: 409, retryable: false, title: 'The idempotency key was used with another payload' },
  IDEMPOTENCY_IN_FLIGHT: { status: 409, retryable: true, title: 'The first request with this idempotency key is still in flight' },
  NOT_CANCELLABLE: { status: 409, retryable: false, title: 'The purchase can no longer be cancelled' },
  PAYLOAD_TOO_LARGE: { status: 413, retryable: false, title: 'The body is too large' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, retryable: false, title: 'The content type is not supported' },
  CONTENT_FILTERED: { status: 422, retryable: false, title: 'The provider filtered the content' },
  NO_TEXT_ANSWER: { status: 422, retryable: false, title: 'The model answered without text' },
  ANSWER_TOO_LARGE: { status: 422, retryable: false, title: 'The answer is larger than this service takes' },
  RATE_LIMITED: { status: 429, retryable: true, title: 'Too many requests' },
  BUCKET_OVERFLOW: { status: 429, retryable: true, title: 'The rate bucket would overflow' },
  TOO_MANY_OPEN_PURCHASES: { status: 429, retryable: true, title: 'Too many purchases are under way' },
  LOGIN_THROTTLED: { status: 429, retryable: true, title: 'Too many failed logins' },
  INTERNAL: { status: 500, retryable: true, title: 'Internal error' },
  PROVIDER_FAILED: { status: 502, retryable: true, title: 'The provider call failed' },
  SERVICE_UNAVAILABLE: { status: 503, retryable: true, title: 'The service is unavailable' },
  PROVIDER_UNAVAILABLE: { status: 503, retryable: true, title: 'The provider is unavailable' },
  PROVIDER_RATE_LIMITED: { status: 503, retryable: true, title: 'The provider limits the rate of this service' },
  PROVIDER_QUOTA_EXHAUSTED: { status: 503, retryable: true, title: 'The quota of this service at the provider is used up' },
  OVERLOADED: { status: 503, retryable: true, title: 'The service is at its limit' },
  ENGINE_UNAVAILABLE: { status: 503, retryable: true, title: 'The workflow engine cannot take work' },
  LIMITS_UNAVAILABLE: { status: 503, retryable: true, title: 'The limits cannot be checked' },
  ABANDONED: { status: 503, retryable: true, title: 'The process that took the request ended before it was answered' },
  PROVIDER_TIMEOUT: { status: 504, retryable: true, title: 'The provider did not answer in time' },
  GATEWAY_TIMEOUT: { status: 504, retryable: true, title: 'The service did not answer in time' },
} as const satisfies Record<string, { status: number; retryable: boolean; title: string }>;

export type ErrorCode = keyof typeof ERRORS;

export interface FieldError {
  field: string;
  message: string;
}

/** Optional members of a problem. `policy`, `limit`, `used`, `resetAt` name the violated policy of a refusal. */
export interface ProblemExtras {
  errors?: FieldError[];
  retryAfterSeconds?: number;
  policy?: string;
  limit?: number;
  used?: number;
  /** ISO-8601 UTC */
  resetAt?: string;
  [member: string]: unknown;
}

/** A fault with a public face: `detail` is shown to the caller, `cause` only reaches the log. */
export class Problem extends Error {
  override readonly name = 'Problem';
  constructor(
    readonly code: ErrorCode,
    readonly detail: string,
    readonly extras: ProblemExtras = {},
    options?: ErrorOptions,
  ) {
    super(detail, options);
  }
  get status(): number {
    return ERRORS[this.code].status;
  }
}
