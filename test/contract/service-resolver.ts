import assert from 'node:assert/strict';
import type { ServiceResolver } from '../../api/http/services.js';
import { eventually } from '../support/eventually.js';

export interface Source {
  resolver: ServiceResolver;
  /** Makes these the instances of the token service, as ports of 127.0.0.1; a source that cannot change has 9001 and 9002 */
  become: (ports: readonly number[]) => Promise<void>;
}

/** What every resolver does, wherever its instances come from. To be called in a `describe`. */
export function serviceResolverContract(sourceOf: () => Source, { changes }: { changes: boolean }): void {
  const seen = (turns: number): string => {
    const { resolver } = sourceOf();
    const urls = Array.from({ length: turns }, () => resolver.resolve('tokens'));
    urls.forEach((url) => url && resolver.report('tokens', url, 'answered'));
    return [...new Set(urls.map((url) => url?.port))].sort().join();
  };
  const are = (ports: string) => eventually(`the instances are ${ports}`, () => seen(6) === ports);

  it('gives all instances in turn, others than those tried, and then none', async () => {
    const { resolver, become } = sourceOf();
    await become([9001, 9002]);
    await are('9001,9002');
    const first = resolver.resolve('tokens');
    assert.ok(first);
    const second = resolver.resolve('tokens', [first]);
    assert.ok(second && second.href !== first.href);
    assert.equal(resolver.resolve('tokens', [first, second]), null);
    for (const url of [first, second]) resolver.report('tokens', url, 'answered');
  });

  if (!changes) return;
  it('follows instances that come and go; when all seem gone, it goes on with those it knew', async () => {
    const { become } = sourceOf();
    await become([9003]);
    await are('9003');
    await become([9003, 9001]);
    await are('9001,9003');
    await become([9001]);
    await are('9001');
    await become([]);
    assert.equal(seen(3), '9001');
    await become([9002]);
    await are('9002');
  });
}
