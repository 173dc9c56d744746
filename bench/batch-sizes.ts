const METRIC = 'leaky_consumption_batch_items';

/** The histogram of how many consumptions shared a workflow, read from /metrics. */
export class BatchSizes {
  constructor(
    private readonly buckets: ReadonlyMap<number, number>,
    private readonly sum: number,
    private readonly count: number,
  ) {}

  since(earlier: BatchSizes): BatchSizes {
    const buckets = new Map([...this.buckets].map(([le, count]) => [le, count - (earlier.buckets.get(le) ?? 0)]));
    return new BatchSizes(buckets, this.sum - earlier.sum, this.count - earlier.count);
  }

  get mean(): number {
    return this.sum / this.count;
  }

  toString(): string {
    let below = 0;
    const parts = [...this.buckets].map(([le, cumulative]) => {
      const here = cumulative - below;
      below = cumulative;
      return here > 0 ? `≤${le}: ${here}` : '';
    });
    return `mean ${this.mean.toFixed(1)} over ${this.count} workflows (${parts.filter(Boolean).join(', ')})`;
  }
}

export async function batchSizes(url: string): Promise<BatchSizes> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const value = (name: string) => Number(new RegExp(`^${METRIC}_${name} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
  const buckets = [...text.matchAll(new RegExp(`^${METRIC}_bucket\\{le="([\\d.]+)"\\} (\\d+)$`, 'gm'))];
  return new BatchSizes(new Map(buckets.map(([, le, count]) => [Number(le), Number(count)])), value('sum'), value('count'));
}
