import { Argument, Command, InvalidArgumentError } from 'commander';
import path from 'node:path';
import { projectRoot } from '../root.js';
import { runBench } from './bench.js';
import { machine } from './report.js';
import { scenarios } from './scenarios/index.js';

interface Options {
  rounds?: number;
  seconds?: number;
  minutes: number;
  quick: boolean;
  stack: boolean;
  save: boolean;
  profile?: string;
}

const FULL = { rounds: 3, seconds: 10, warmUpSeconds: 3, people: 100, crowd: 100_000, prefilled: 1_000_000 };
const QUICK = { rounds: 1, seconds: 1, warmUpSeconds: 0.5, people: 10, crowd: 1_000, prefilled: 10_000 };

const names = scenarios(0).map((scenario) => scenario.name);
const program = new Command('npm run bench --')
  .description(
    'Measures the system against what else one could do, in turns within one run, and writes bench/results.json and results.svg.',
  )
  .addArgument(new Argument('[scenarios...]', 'which; none: all but soak').choices(names))
  .option('--rounds <n>', `rounds of every comparison (${FULL.rounds})`, positive)
  .option('--seconds <s>', `of each run in a round (${FULL.seconds})`, positive)
  .option('--minutes <m>', 'of the soak', positive, 10)
  .option('--quick', 'one short round of few cells, without other gateways: shows that all works, measures nothing', false)
  .option(
    '--stack',
    'on the full stack, every real part its own process: consume, against the embedded form; soak, one token service',
    false,
  )
  .option('--profile <folder>', "write CPU profiles of the system's own process there (with the time before and between the runs)")
  .option('--no-save', 'leave bench/results.* as they are (so do --quick and --stack)')
  .addHelpText(
    'after',
    `\n${scenarios(0)
      .map(({ name, description }) => `  ${name.padEnd(11)}${description}`)
      .join('\n')}`,
  )
  .action(run);
await program.parseAsync();

async function run(chosen: string[], options: Options): Promise<void> {
  const base = options.quick ? QUICK : FULL;
  const all = scenarios(options.minutes);
  const wanted = all.filter(({ name, onlyWhenNamed }) => (chosen.length > 0 ? chosen.includes(name) : !onlyWhenNamed));
  process.stdout.write(`${machine()}\n`);
  const { faults } = await runBench({
    scenarios: wanted,
    effort: { rounds: options.rounds ?? base.rounds, seconds: options.seconds ?? base.seconds, warmUpSeconds: base.warmUpSeconds },
    extent: {
      quick: options.quick,
      stack: options.stack,
      people: base.people,
      crowd: base.crowd,
      prefilled: base.prefilled,
      profileFolder: options.profile ?? null,
    },
    folder: options.quick || options.stack || !options.save ? null : path.join(projectRoot, 'bench'),
    say: (line) => void process.stdout.write(`${line}\n`),
  });
  for (const fault of faults) process.stderr.write(`FAULT: ${fault}\n`);
  if (faults.length > 0) process.exitCode = 1;
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('must be a number above 0');
  return value;
}
