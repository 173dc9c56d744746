import { listDeadLetters, redriveDeadLetters } from '../adapters/kafka/redrive.js';
import { groupNames } from '../adapters/kafka/topics.js';
import { ConfigError, type Config } from '../config.js';
import { TOPICS } from '../contracts/event-messages.js';
import { createLogger } from '../telemetry/log.js';
import { openKafka, openPublisher } from './kafka.js';

export interface DeadLetterOptions {
  topic?: string;
  limit?: string;
}

/** What an operator sees and does about messages that were put aside. Prints to standard output. */
export async function deadLetters(config: Config, action: 'list' | 'redrive', options: DeadLetterOptions): Promise<void> {
  const limit = Number(options.limit ?? 100);
  if (!Number.isInteger(limit) || limit < 1) throw new ConfigError(`--limit: ${options.limit} is not a positive whole number`);
  const all: readonly string[] = Object.values(TOPICS);
  const chosen = options.topic === undefined ? all : all.filter((topic) => topic === options.topic);
  if (chosen.length === 0) throw new ConfigError(`--topic: ${options.topic} is none of ${all.join(', ')}`);
  const log = createLogger('error');
  const kafka = openKafka(config, log);
  for (const topic of chosen) {
    const { topicPrefix, sessionTimeoutMs } = config.kafka;
    const where = { kafka, groupId: groupNames(config.kafka).redrive, topic: topicPrefix + topic, sessionTimeoutMs };
    if (action === 'list') {
      for (const letter of await listDeadLetters(where, limit)) process.stdout.write(`${JSON.stringify({ topic, ...letter })}\n`);
      continue;
    }
    const publisher = openPublisher(config, log);
    const driven = await redriveDeadLetters(where, publisher).finally(() => publisher.close());
    process.stdout.write(`${topic}: ${driven} sent again\n`);
  }
}
