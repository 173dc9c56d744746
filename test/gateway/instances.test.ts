import assert from 'node:assert/strict';
import { createServiceResolver, type RunningResolver } from '../../adapters/discovery/resolver.js';
import { freePort } from '../../embedded/ports.js';
import { createLogger } from '../../telemetry/log.js';
import { asUser, startTestGateway, startUpstream, until, type TestGateway, type Upstream } from './support.js';

const CALLS = 60;

describe('a gateway before two instances of a service', function () {
  this.timeout(20_000);
  let one: Upstream;
  let other: Upstream;
  let services: RunningResolver;
  let gateway: TestGateway;

  beforeEach(async () => {
    [one, other] = await Promise.all([startUpstream(), startUpstream()]);
    const nobody = `http://127.0.0.1:${await freePort()}`;
    services = await createServiceResolver({
      services: { auth: nobody, analytics: nobody, tokens: `${one.url},${other.url}` },
      refreshMs: 1_000,
      log: createLogger('silent'),
    });
    gateway = await startTestGateway({ services });
  });
  afterEach(async () => {
    await gateway.close();
    services.close();
    await Promise.all([one.close(), other.close()]);
  });

  const send = (headers: Record<string, string> = {}) =>
    fetch(`${gateway.url}/api/v1/tokens/consume`, {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json', ...asUser(), ...headers },
    });
  const port = ({ url }: Upstream) => Number(new URL(url).port);

  it('gives each its turn', async () => {
    for (let call = 0; call < 10; call += 1) assert.equal((await send()).status, 200);
    assert.deepEqual([one.seen.length, other.seen.length], [5, 5]);
  });

  it('loses no call to one that is down, whatever the call does: another one gets what was never sent', async () => {
    await one.close();
    const answers = await Promise.all(Array.from({ length: CALLS }, () => send()));
    assert.ok(answers.every(({ status }) => status === 200));
    assert.equal(other.seen.length, CALLS, 'each once');
  });

  it('takes it back when it is there again', async () => {
    await one.close();
    for (let call = 0; call < 4; call += 1) assert.equal((await send()).status, 200);
    one = await startUpstream(port(one));
    await until(async () => (await send()).status === 200 && one.seen.length > 0);
  });

  it('that dies with calls in progress: those with a key are answered by the other one, those without are told', async () => {
    one.handler = () => undefined;
    const keyed = Array.from({ length: 10 }, (_, index) => send({ 'idempotency-key': `k${index}` }));
    const keyless = Array.from({ length: 10 }, () => send());
    await until(() => one.seen.length + other.seen.length === 20 && one.seen.length > 0);
    const hanging = one.seen.filter(({ headers }) => headers['idempotency-key'] === undefined).length;
    await one.close();
    assert.ok((await Promise.all(keyed)).every(({ status }) => status === 200));
    const told = (await Promise.all(keyless)).filter(({ status }) => status === 503);
    assert.equal(told.length, hanging, 'whether it was done is not known, so it is not done again');
  });

  it('answers 503 at once when there is none left, and does not hold it against the service when one comes back', async () => {
    await Promise.all([one.close(), other.close()]);
    assert.equal((await send()).status, 503);
    [one, other] = [await startUpstream(port(one)), await startUpstream(port(other))];
    await until(async () => (await send()).status === 200);
  });
});
