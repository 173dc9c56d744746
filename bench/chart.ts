import type { Row } from './report.js';

interface Bar {
  label: string;
  value: number;
  ours: boolean;
}

/** Which cells the picture shows, and in which words. */
const PANELS = [
  { title: 'Consumptions a second: provider 50 ms, 200 callers', scenario: 'consume', provider: '50 ms', concurrency: 200 },
  { title: 'Consumptions a second: provider 50 ms, 64 callers', scenario: 'consume', provider: '50 ms', concurrency: 64 },
  { title: 'Consumptions a second: provider 0 ms, 400 callers', scenario: 'consume', provider: '0 ms', concurrency: 400 },
  { title: 'Calls a second through a gateway: provider 0 ms, 200 callers', scenario: 'gateway', provider: '0 ms', concurrency: 200 },
];
const NAMES: Record<string, string> = {
  leaky: 'Leaky Tokens, durable',
  gateway: 'Leaky Tokens, durable',
  direct: 'the same without a workflow',
  textbook: 'a workflow per request',
  portkey: 'Portkey, no accounting',
  litellm: 'LiteLLM, no accounting',
  'litellm per core': 'LiteLLM, a worker per core',
};
const WIDTH = 760;
const LEFT = 210;
const BAR = 22;
const GAP = 8;
const TITLE = 34;

/** Bars of throughput, as an SVG that reads on light and dark pages alike. */
export function chart(rows: readonly Row[]): string {
  let top = 8;
  const parts: string[] = [];
  for (const panel of PANELS) {
    const bars = barsOf(rows.filter((row) => sameCell(row, panel)));
    if (bars.length === 0) continue;
    parts.push(text(8, top + 20, panel.title, 'font-weight="600"'));
    top += TITLE;
    const most = Math.max(...bars.map((bar) => bar.value));
    for (const bar of bars) {
      const width = Math.max(2, ((WIDTH - LEFT - 80) * bar.value) / most);
      parts.push(text(LEFT - 10, top + 16, bar.label, 'text-anchor="end"'));
      parts.push(
        `<rect x="${LEFT}" y="${top}" width="${width.toFixed(1)}" height="${BAR}" rx="3" fill="${bar.ours ? '#0f8a6d' : '#8a94a0'}"/>`,
      );
      parts.push(text(LEFT + width + 8, top + 16, bar.value >= 100 ? bar.value.toFixed(0) : bar.value.toFixed(1), ''));
      top += BAR + GAP;
    }
    top += 14;
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top}" width="${WIDTH}" height="${top}" font-family="system-ui, sans-serif" font-size="13">`,
    '<style>text { fill: #24292f } @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }</style>',
    ...parts,
    '</svg>\n',
  ].join('\n');
}

const sameCell = (row: Row, cell: (typeof PANELS)[number]) =>
  row.scenario === cell.scenario && row.provider === cell.provider && row.concurrency === cell.concurrency;

const barsOf = (rows: readonly Row[]): Bar[] =>
  rows.flatMap(({ variant, opsPerSecond }) => {
    const label = NAMES[variant];
    return label ? [{ label, value: opsPerSecond, ours: variant === 'leaky' || variant === 'gateway' }] : [];
  });

const text = (x: number, y: number, content: string, attributes: string) =>
  `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</text>`;
