import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { stop, transform } from 'esbuild';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { distRoot, projectRoot } from '../../root.js';
import { changedName, CHANGES, type Change } from './changes.js';

const folder = path.join(distRoot, 'test/replay/changed');
const bundle = path.join(folder, 'bundle.js');

/**
 * Makes the bundle of the carelessly changed workflows from today's sources and answers its path. It has each changed form
 * under `changedName`, and the first one of each workflow also under the workflow's own name. The build empties dist
 * whenever a source changes, so a bundle that is there is the right one.
 */
export async function changedBundle(): Promise<string> {
  if (existsSync(bundle)) return bundle;
  const lines: string[] = [];
  for (const change of CHANGES) lines.push(...(await copyWith(change)));
  const entry = path.join(folder, 'index.js');
  writeFileSync(entry, lines.join('\n'));
  await stop();
  const { code } = await bundleWorkflowCode({ workflowsPath: entry, logger: new DefaultLogger('WARN') });
  writeFileSync(`${bundle}.new`, code);
  renameSync(`${bundle}.new`, bundle);
  return bundle;
}

/** Copies everything that the workflows consist of, with the change made. Answers the lines that export it. */
async function copyWith(change: Change): Promise<string[]> {
  const copy = path.join(folder, changedName(change));
  mkdirSync(copy, { recursive: true });
  for (const part of ['workflows', 'contracts', 'domain']) cpSync(path.join(distRoot, part), path.join(copy, part), { recursive: true });
  let source = readFileSync(path.join(projectRoot, 'workflows', change.file), 'utf8');
  for (const [from, to] of change.edits) source = edit(source, from, to, change);
  const { code } = await transform(source, { loader: 'ts', format: 'esm', target: 'node20' });
  writeFileSync(path.join(copy, 'workflows', change.file.replace('.ts', '.js')), code);
  const { workflow } = change;
  const names = [changedName(change), ...(CHANGES.find((each) => each.workflow === workflow) === change ? [workflow] : [])];
  return names.map((name) => `export { ${workflow} as ${name} } from './${changedName(change)}/workflows/index.js';`);
}

function edit(source: string, from: string, to: string, { file, name }: Change): string {
  const [before, after, ...more] = source.split(from);
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`The change ${name} is made to a text that is not in workflows/${file} exactly once: ${from}. Adapt it to the code.`);
  }
  return before + to + after;
}
