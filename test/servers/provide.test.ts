import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { freePortBlock } from '../../embedded/ports.js';
import { projectRoot } from '../../root.js';
import { startTestCassandra } from '../support/cassandra.js';
import { eventually, isRunning } from '../support/eventually.js';
import { startTestKafka } from '../support/kafka.js';
import { inDocker, native, provide } from '../support/provide.js';
import { redisProvision, startTestRedis } from '../support/redis.js';
import { temporaryFolder } from '../support/servers.js';
import { startTestTemporalCluster } from '../support/temporal-cluster.js';

describe('the servers of the tests', function () {
  this.timeout(180_000);

  const servers = { Redis: startTestRedis, Kafka: startTestKafka, Cassandra: startTestCassandra, Temporal: startTestTemporalCluster };
  for (const [name, start] of Object.entries(servers)) {
    // It resolves only once a client of ours has had an answer.
    it(`${name} is started by whoever asks first, once for the whole run`, async () => {
      const [first, second] = await Promise.all([start(), start()]);
      assert.equal(first, second);
    });
  }

  it('are taken from the environment when it has an address', async () => {
    const url = await startTestRedis();
    const before = process.env.LEAKY_TEST_REDIS_URL;
    process.env.LEAKY_TEST_REDIS_URL = url;
    try {
      assert.equal(await provide(redisProvision), url);
    } finally {
      if (before === undefined) delete process.env.LEAKY_TEST_REDIS_URL;
      else process.env.LEAKY_TEST_REDIS_URL = before;
    }
  });

  it('end by themselves when the process they were started for is gone', async () => {
    const folder = temporaryFolder('orphan');
    const script = path.join(projectRoot, 'scripts/servers/redis.sh');
    // The shell that owns the server ends right after the start.
    const start = `LEAKY_SERVER_OWNER=$$ bash "$1" start "$2" "$3" && cat "$2/redis.pid"`;
    const { stdout } = await promisify(execFile)('bash', ['-c', start, 'owner', script, folder, String(await freePortBlock(1))]);
    const pid = Number(stdout.trim().split('\n').at(-1));
    await eventually('the server has ended', async () => !(await isRunning(pid)));
  });

  it('say why they do not start', async () => {
    const port = await freePortBlock(1);
    const broken = { ...redisProvision, environment: () => Promise.resolve({ REDIS_EXTRA: 'no-such-setting yes' }) };
    await assert.rejects(native(broken, port), /Redis could not be started/);
  });

  /** Does what `docker run` is told: publishes the server of the last arguments on the port, and passes the signal on. */
  it('run as containers that are published on our port and end in order', async () => {
    const folder = temporaryFolder('docker');
    const client = path.join(folder, 'docker');
    const log = path.join(folder, 'calls');
    writeFileSync(
      client,
      `#!/bin/bash
      echo "$@" >>${log}
      while [ "$1" != redis-server ]; do [ "$1" != --publish ] || port=$(cut -d: -f2 <<<"$2"); shift; done
      exec "$@" --port "$port" --dir ${folder} --pidfile ${folder}/pid\n`,
    );
    chmodSync(client, 0o755);
    const port = await freePortBlock(1);
    assert.equal(await inDocker(redisProvision, port, client), `127.0.0.1:${port}`);
    assert.match(readFileSync(log, 'utf8'), /^run --rm --name leaky-test-\S+ --publish 127\.0\.0\.1:\d+:6379 redis:\S+ redis-server/);
  });

  it('report a container that ends before it answers', async () => {
    const client = path.join(temporaryFolder('docker'), 'docker');
    writeFileSync(client, '#!/bin/sh\necho "no such image" >&2; exit 125\n');
    chmodSync(client, 0o755);
    await assert.rejects(inDocker(redisProvision, await freePortBlock(1), client), /exit status 125\nno such image/);
  });
});
