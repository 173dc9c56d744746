import { startAnalytics } from '../api/analytics/service.js';
import { foundServer } from './discovery.js';
import { startEventConsumption } from './event-consumer.js';
import { hasKafka } from './kafka.js';
import { group, type Compose } from './service.js';

export const composeAnalytics: Compose = async (resources) => {
  const { config, log } = resources;
  const { required } = await resources.authenticator();
  const usage = resources.usageStore().reader;
  const server = await startAnalytics({ config, log, usage, memberships: await resources.memberships(), authenticate: required });
  const serving = await foundServer('analytics', server, resources);
  return hasKafka(config) ? group('analytics', [startEventConsumption(resources), serving]) : serving;
};
