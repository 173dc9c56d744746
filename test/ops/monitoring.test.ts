import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { parse as parseYaml } from 'yaml';
import { projectRoot } from '../../root.js';
import { People } from '../e2e/people.js';
import { eventually } from '../support/eventually.js';
import { temporaryFolder } from '../support/servers.js';
import { withSystem } from '../support/system.js';
import { namesIn, scrape } from '../telemetry/exposed.js';

const inProject = (...parts: string[]) => path.join(projectRoot, ...parts);
const filesIn = (folder: string, end: string) =>
  readdirSync(inProject(folder))
    .filter((name) => name.endsWith(end))
    .map((name) => inProject(folder, name));
const promtool = (...args: string[]) => promisify(execFile)(inProject('scripts/promtool.sh'), args);

interface Rule {
  alert?: string;
  record?: string;
  expr: string;
  labels?: { severity?: string };
  annotations?: Record<string, string>;
}
interface Panel {
  id: number;
  type: string;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { expr: string }[];
}
interface Board {
  uid: string;
  schemaVersion: number;
  panels: Panel[];
}

const rules = filesIn('ops/prometheus/rules', '.yml').flatMap((file) =>
  (parseYaml(readFileSync(file, 'utf8')) as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules),
);
const boards = filesIn('ops/grafana/dashboards', '.json').map((file) => JSON.parse(readFileSync(file, 'utf8')) as Board);
const boardQueries = boards.flatMap(({ panels }) => panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)));

describe('monitoring', function () {
  this.timeout(60_000);

  before('promtool', async function () {
    this.timeout(300_000);
    await promtool('--version');
  });

  it('has a configuration and rules that Prometheus reads', async () => {
    await promtool('check', 'config', ...['prometheus.yml', 'compose.yml'].map((name) => inProject('ops/prometheus', name)));
    await promtool('check', 'rules', ...filesIn('ops/prometheus/rules', '.yml'));
  });

  it('has alerts that fire when they should and not when they should not, each of them', async () => {
    const tests = filesIn('ops/prometheus/tests', '.yml');
    await promtool('test', 'rules', ...tests);
    const text = tests.map((file) => readFileSync(file, 'utf8')).join('');
    for (const { alert } of rules.filter((rule) => rule.alert !== undefined))
      for (const kind of ['fires', 'stays quiet']) assert.ok(text.includes(`- name: ${alert} ${kind}\n`), `${alert} ${kind}`);
  });

  it('sends whoever is woken to a section of the runbook', () => {
    const sections = [...readFileSync(inProject('docs/runbook.md'), 'utf8').matchAll(/^##+ (.+)$/gm)].map(([, title = '']) =>
      anchorOf(title),
    );
    for (const { alert, annotations, labels } of rules.filter((rule) => rule.alert !== undefined)) {
      const [file, anchor] = (annotations?.runbook_url ?? '').split('#');
      assert.equal(file, 'docs/runbook.md', alert);
      assert.ok(sections.includes(anchor ?? ''), `${alert}: no section #${anchor}`);
      assert.match(labels?.severity ?? '', /^(?:critical|warning)$/, alert);
    }
  });

  it('has boards as they were written, for a Grafana that reads them', async () => {
    const { BOARDS, fileOf } = (await import(pathToFileURL(inProject('ops/grafana/boards.mjs')).href)) as {
      BOARDS: Record<string, unknown>;
      fileOf(name: string): string;
    };
    assert.deepEqual(
      filesIn('ops/grafana/dashboards', '.json').map((file) => path.basename(file)),
      Object.keys(BOARDS)
        .map((name) => `${name}.json`)
        .sort(),
    );
    for (const name of Object.keys(BOARDS))
      assert.equal(
        readFileSync(inProject('ops/grafana/dashboards', `${name}.json`), 'utf8'),
        fileOf(name),
        'node ops/grafana/boards.mjs writes them anew',
      );
    assert.equal(new Set(boards.map(({ uid }) => uid)).size, boards.length);
    for (const { panels, schemaVersion } of boards) {
      assert.equal(schemaVersion, 39);
      assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
      for (const [index, one] of panels.entries())
        for (const other of panels.slice(index + 1)) assert.ok(!overlap(one, other), `${one.title} and ${other.title} overlap`);
    }
  });

  it('asks in the boards what Prometheus understands', async () => {
    const file = path.join(temporaryFolder('boards'), 'queries.yml');
    const expressions = boardQueries.map((expr, index) => ({
      record: `board:query_${index}`,
      expr: expr.replaceAll('$__rate_interval', '5m'),
    }));
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'boards', rules: expressions }] }));
    await promtool('check', 'rules', file);
  });

  describe('of the whole system', () => {
    const system = withSystem();
    const people = new People(system);

    it('asks for nothing that is not measured: every name of rules and boards is in /metrics of a running system', async () => {
      const person = await people.register();
      await people.buy(person, 100);
      await people.consume(person, 1);
      const recorded = rules.flatMap(({ record }) => record ?? []);
      const text = [...rules.map(({ expr }) => expr), ...boardQueries].join('\n');
      const asked = new Set([...text.matchAll(/\b(?:leaky|temporal|nodejs|process)[_:][\w:]+/g)].map(([name]) => name));
      let missing: string[] = [];
      // Some of the SDK's appear with the first work of their kind, and the roll-up of usage is soon due.
      await eventually(
        'all metrics',
        async () => {
          const measured = namesIn(await scrape(system().gateway));
          missing = [...asked].filter((name) => !measured.has(name) && !recorded.includes(name));
          return missing.length === 0;
        },
        30_000,
      ).catch(() => undefined);
      assert.deepEqual(missing, []);
      assert.ok(asked.size > 40, `only ${asked.size} names were found`);
    });
  });
});

/** As the hosts of repositories make them of headings. */
const anchorOf = (title: string): string =>
  title
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');

function overlap({ gridPos: a }: Panel, { gridPos: b }: Panel): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}
