import { Counter, Gauge } from 'prom-client';
import { registry } from './metrics.js';

const registers = [registry];

/** Events on their way through Kafka. `topic` is one of the closed list, without its prefix. */
export const eventMetrics = {
  published: new Counter({
    name: 'leaky_events_published_total',
    help: 'Messages that every in-sync replica has, by topic',
    labelNames: ['topic'],
    registers,
  }),
  publishFailures: new Counter({
    name: 'leaky_events_publish_failures_total',
    help: 'Sends that failed; whoever sent tries again',
    registers,
  }),
  consumed: new Counter({
    name: 'leaky_events_consumed_total',
    help: 'Messages that were dealt with, redeliveries included, by topic',
    labelNames: ['topic'],
    registers,
  }),
  deadLettered: new Counter({
    name: 'leaky_events_dead_lettered_total',
    help: 'Messages put aside, by topic and reason',
    labelNames: ['topic', 'reason'],
    registers,
  }),
  storeFailures: new Counter({
    name: 'leaky_events_store_failures_total',
    help: 'Failed attempts to store a batch; it is tried again and nothing is committed until it is stored',
    labelNames: ['topic'],
    registers,
  }),
  lag: new Gauge({
    name: 'leaky_events_lag',
    help: 'Messages in a topic that its consumers have not dealt with, by topic; absent while it is not known',
    labelNames: ['topic'],
    registers,
  }),
  deadLettersWaiting: new Gauge({
    name: 'leaky_events_dead_letters_waiting',
    help: 'Dead letters that no operator has driven again, by topic; absent while it is not known',
    labelNames: ['topic'],
    registers,
  }),
};
