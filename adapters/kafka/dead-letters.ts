import type { DeadLetter, DeadLetters } from '../../consumers/ports.js';
import { deadLetterTopic } from '../../contracts/event-messages.js';
import type { Publisher } from './publisher.js';

/** Headers that a dead letter has beside its own: why, and where it was. */
export const DEAD_LETTER_HEADERS = {
  reason: 'dead-letter-reason',
  detail: 'dead-letter-detail',
  topic: 'dead-letter-source-topic',
  partition: 'dead-letter-source-partition',
  offset: 'dead-letter-source-offset',
  at: 'dead-letter-at',
} as const;

const MAX_DETAIL = 1_000;

/** Key and value stay what they were, so a letter can be driven again as it came. */
export function createDeadLetters(publisher: Publisher, prefix: string): DeadLetters {
  return {
    async bury(letters) {
      for (const topic of new Set(letters.map(({ message }) => message.topic))) {
        const ofTopic = letters.filter(({ message }) => message.topic === topic);
        await publisher.publish(deadLetterTopic(prefix + topic), ofTopic.map(letterOf(prefix + topic)));
      }
    },
  };
}

const letterOf =
  (topic: string) =>
  ({ message: { key, value, headers, partition, offset }, reason, detail }: DeadLetter) => ({
    key,
    value,
    headers: {
      ...headers,
      [DEAD_LETTER_HEADERS.reason]: reason,
      [DEAD_LETTER_HEADERS.detail]: detail.slice(0, MAX_DETAIL),
      [DEAD_LETTER_HEADERS.topic]: topic,
      [DEAD_LETTER_HEADERS.partition]: String(partition),
      [DEAD_LETTER_HEADERS.offset]: offset,
      [DEAD_LETTER_HEADERS.at]: new Date().toISOString(),
    },
  });
