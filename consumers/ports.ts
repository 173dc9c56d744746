/** A message as it came; `key`, `value` and `headers` are passed on untouched when it has to be put aside. */
export interface Received {
  /** Without the prefix of the installation */
  topic: string;
  partition: number;
  offset: string;
  key: Buffer | null;
  value: Buffer | null;
  headers: Record<string, Buffer | string | (Buffer | string)[] | undefined>;
}

export type DeadLetterReason = 'NOT_JSON' | 'NOT_AN_EVENT' | 'UNSTORABLE';

export interface DeadLetter {
  message: Received;
  reason: DeadLetterReason;
  /** For the operator */
  detail: string;
}

/** Where messages go that no retry can help. Rejects when they are not safe there; burying one twice does no harm. */
export interface DeadLetters {
  bury(letters: readonly DeadLetter[]): Promise<void>;
}

/** What holds a consumer's place while it works or waits. */
export interface Hold {
  /** False once the consumer is to stop: what is not done by then is left for the next one */
  alive(): boolean;
  /** Tells the group that this consumer lives. Rejects when the partitions have gone to another one. */
  heartbeat(): Promise<void>;
}
