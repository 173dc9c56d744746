import type { MetricValue, Registry } from 'prom-client';

export interface TimingsOptions<Label extends string> {
  name: string;
  help: string;
  /** Upper bounds in seconds, ascending */
  buckets: readonly number[];
  labelNames: readonly Label[];
  register: Registry;
}

interface Series {
  labels: readonly string[];
  /** Not cumulative; the last one has no upper bound */
  counts: Float64Array;
  sum: number;
}

/**
 * A histogram for the hot path. The one of prom-client checks and hashes the labels of each observation: 820 ns with four of them,
 * where finding a series by its joined labels and counting takes 100 (Node 20, measured together). Label values are closed sets.
 */
export class Timings<Label extends string> {
  readonly name: string;
  private readonly series = new Map<string, Series>();

  constructor(private readonly options: TimingsOptions<Label>) {
    this.name = options.name;
    // The registry asks no more of a metric than its name, `get` and `reset`.
    options.register.registerMetric(this as never);
  }

  /** @param labels in the order of `labelNames` */
  observe(seconds: number, ...labels: readonly string[]): void {
    const key = labels.length === 1 ? (labels[0] as string) : labels.join('\n');
    const { buckets } = this.options;
    let series = this.series.get(key);
    if (!series) this.series.set(key, (series = { labels, counts: new Float64Array(buckets.length + 1), sum: 0 }));
    let index = 0;
    while (index < buckets.length && seconds > (buckets[index] as number)) index++;
    (series.counts[index] as number)++;
    series.sum += seconds;
  }

  get(): Promise<object> {
    const { name, help } = this.options;
    const values = [...this.series.values()].flatMap((series) => this.valuesOf(series));
    return Promise.resolve({ name, help, type: 'histogram', aggregator: 'sum', values });
  }

  reset(): void {
    this.series.clear();
  }

  private valuesOf({ labels, counts, sum }: Series): MetricValue<string>[] {
    const { name, buckets, labelNames } = this.options;
    const named = Object.fromEntries(labelNames.map((label, index) => [label, labels[index] ?? '']));
    let total = 0;
    const values: MetricValue<string>[] = [];
    const add = (metricName: string, value: number, extra: object = {}) =>
      values.push({ metricName, value, labels: { ...named, ...extra } } as MetricValue<string>);
    counts.forEach((count, index) => add(`${name}_bucket`, (total += count), { le: buckets[index] ?? '+Inf' }));
    add(`${name}_sum`, sum);
    add(`${name}_count`, total);
    return values;
  }
}
