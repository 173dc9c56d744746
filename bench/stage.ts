import path from 'node:path';
import { createPool, type Database } from '../adapters/postgres/pool.js';
import { openUsageStore } from '../compose/usage-store.js';
import { readConfig } from '../config.js';
import { freePort } from '../embedded/ports.js';
import { distRoot, projectRoot } from '../root.js';
import { account, nothingHeld, type Told } from './accounting.js';
import { saying, startChild, type Child } from './children.js';
import type { LoadResult } from './load.js';
import { measureInTurns, type Cell, type Effort, type Run, type Say, type Variant } from './measure.js';
import { prefill } from './prepare/history.js';
import { foundOrganisation, registerPeople, type Person } from './prepare/people.js';
import { summarise, type Measured } from './report.js';
import { startStackTarget } from './target-stack.js';
import { startEmbedded, startStubs, type Stubs, type Target } from './target.js';

/** A system with people who can use it, and the books of what they were told. */
export interface Scene {
  target: Target;
  database: Database;
  people: Person[];
  orgId: string;
  told: Told;
  settled: () => Promise<void>;
  /** Adds to the books of consumptions */
  consumed: (result: LoadResult) => void;
}

export interface Beside extends Child {
  url: string;
}

export interface Extent {
  /** Short cells with few people, to see that everything works */
  quick: boolean;
  /** Scenarios that can do so measure the full stack against the embedded form */
  stack?: boolean;
  people: number;
  /** Users with a pool each whom callers spend for in turn */
  crowd: number;
  /** Consumptions in the ledger that is not empty */
  prefilled: number;
  /** Where CPU profiles of the systems' own processes go when they end; null: none are made */
  profileFolder: string | null;
}

const PATIENCE_MS = 3_600_000;

type Kind = 'plain' | 'full' | 'limited' | 'stack';

const DIFFERENCES: Record<Kind, Record<string, string | undefined>> = {
  plain: {},
  full: {},
  stack: {},
  // As it comes, so that it refuses when it is full.
  limited: { LEAKY_CONSUMPTIONS_IN_FLIGHT: undefined },
};

/**
 * Everything that scenarios need, started when the first one asks for it. `plain`: an empty ledger; `full`: one with a history;
 * `limited`: with the product's own limit of consumptions in flight; `stack`: not the embedded form but the full stack.
 */
export class Stage {
  readonly measured: Measured[] = [];
  private readonly started = new Map<string, Promise<unknown>>();
  private readonly closings: (() => Promise<void>)[] = [];
  private readonly scenes: [Kind, Scene][] = [];

  constructor(
    readonly effort: Effort,
    readonly extent: Extent,
    readonly say: Say,
  ) {}

  stubs(): Promise<Stubs> {
    return this.once('stubs', async () => {
      const stubs = await startStubs();
      this.closings.push(() => stubs.process.stop());
      return stubs;
    });
  }

  /** One system stands for all of them when it is only to be seen that everything works. */
  scene(wanted: Kind = 'plain'): Promise<Scene> {
    const kind = this.extent.quick && wanted !== 'stack' ? 'plain' : wanted;
    return this.once(`scene ${kind}`, () => this.startScene(kind));
  }

  /** A program of the benchmark on the database and the servers of the plain scene. */
  beside(program: 'direct' | 'textbook'): Promise<Beside> {
    return this.once(program, async () => {
      const { target } = await this.scene();
      const port = await freePort();
      this.say(`Starting ${program}`);
      const child = await startChild({
        name: program,
        command: process.execPath,
        args: [path.join(distRoot, `bench/${program}/main.js`), String(port)],
        environment: target.environment,
        cwd: projectRoot,
        ready: saying(/ready/),
      });
      this.closings.push(() => child.stop());
      return { ...child, url: `http://127.0.0.1:${port}` };
    });
  }

  /** Something that is stopped with the stage. Null, and a word about it, when it can't be had. */
  optional(name: string, start: () => Promise<Beside>): Promise<Beside | null> {
    return this.once(name, async () => {
      try {
        this.say(`Starting ${name}`);
        const child = await start();
        this.closings.push(() => child.stop());
        return child;
      } catch (error) {
        this.say(`NOT MEASURED: ${name}: ${error instanceof Error ? error.message : String(error)}`);
        return null;
      }
    });
  }

  /** Measures a cell and keeps its figures. Variants that are null could not be had. */
  async measure(
    cell: Omit<Cell, 'variants'> & { variants: readonly (Variant | null)[] },
    effort: Partial<Effort> = {},
  ): Promise<Map<string, Run[]>> {
    const present: Cell = { ...cell, variants: cell.variants.filter((variant) => variant !== null) };
    const rate = cell.rate === undefined ? '' : `, ${cell.rate}/s`;
    this.say(`${cell.scenario}, provider ${cell.provider}, c=${cell.concurrency}${rate}`);
    const runs = await measureInTurns(present, { ...this.effort, ...effort }, this.say);
    this.measured.push(...summarise(present, runs));
    return runs;
  }

  /** @returns what is wrong in the books of any system */
  async account(): Promise<string[]> {
    const faults: string[] = [];
    for (const [kind, { target, database, told }] of this.scenes) {
      const usage = openUsageStore(readConfig(target.environment).config, () => database);
      const found = await account(database, told, usage.books).finally(() => usage.close());
      const { consumed, purchased } = told;
      this.say(
        `Books of the ${kind} system: ${consumed} consumptions, ${purchased} purchases: ${found.length === 0 ? 'sound' : found.join('; ')}`,
      );
      faults.push(...found);
    }
    return faults;
  }

  async stop(): Promise<void> {
    for (const close of this.closings.splice(0).reverse()) await close();
  }

  private async startScene(kind: Kind): Promise<Scene> {
    const stubs = await this.stubs();
    this.say(`Starting the ${kind} system`);
    const { profileFolder } = this.extent;
    const flags = profileFolder === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${path.resolve(profileFolder)}`];
    const target = kind === 'stack' ? await startStackTarget(stubs, this.say, flags) : await startEmbedded(stubs, DIFFERENCES[kind], flags);
    this.closings.push(() => target.stop());
    // Not with the product's time limits: to fill a ledger, or to audit a full one, takes longer than any request may.
    const database = createPool(target.postgresUrl, 2, { statementTimeoutMs: PATIENCE_MS });
    this.closings.push(() => database.end());
    if (kind === 'full' || (this.extent.quick && kind !== 'stack')) {
      this.say(`Filling its ledger with ${this.extent.prefilled} consumptions`);
      await prefill(database, this.extent.prefilled);
    }
    const people = await registerPeople(target, database, this.extent.people);
    const told: Told = { consumed: 0, unknown: 0, purchased: 0 };
    const scene: Scene = {
      target,
      database,
      people,
      told,
      orgId: await foundOrganisation(database, people),
      settled: () => nothingHeld(database),
      consumed: ({ ok, unanswered }) => {
        told.consumed += ok;
        told.unknown += unanswered;
      },
    };
    this.scenes.push([kind, scene]);
    return scene;
  }

  private once<T>(name: string, start: () => Promise<T>): Promise<T> {
    let running = this.started.get(name) as Promise<T> | undefined;
    if (!running) this.started.set(name, (running = start()));
    return running;
  }
}
