import { startEventConsumption } from '../../compose/event-consumer.js';
import { createResources, type Resources } from '../../compose/resources.js';
import type { Service } from '../../compose/service.js';
import { loadConfig } from '../../config.js';
import { log, withTopics } from '../kafka/support.js';
import { withDatabase } from '../support/postgres.js';
import { eventSinkLaws } from './event-sinks.js';

describe('event sinks: straight into the stores', () => {
  let resources: Resources;
  after(() => resources.close());
  const database = withDatabase();
  before(() => (resources = createResources({ config: loadConfig({ LEAKY_POSTGRES_URL: database().url }), log })));
  eventSinkLaws(() => ({ sinks: resources.events(), database: database().pool }));
});

describe('event sinks: through Kafka', () => {
  let resources: Resources;
  let consumption: Service;
  after('everything stops', async function () {
    this.timeout(30_000);
    await consumption?.stop();
    await resources?.close();
  });
  const database = withDatabase();
  const topics = withTopics();
  before(() => {
    resources = topics().resources({ LEAKY_POSTGRES_URL: database().url });
    consumption = startEventConsumption(resources);
  });
  eventSinkLaws(() => ({ sinks: resources.events(), database: database().pool }));
});
