// Compiles the TypeScript to dist/ (transpile only; `npm run typecheck` holds the types) and bundles the workflows.
// Both are skipped when their inputs have not changed, so a start that needs no build pays only for hashing.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
export const distFolder = path.resolve(root, process.env.LEAKY_DIST ?? 'dist');
const dist = distFolder;
const skipped = new Set(['node_modules', 'dist', 'data', '.cache', '.git']);

/** Relative paths of all TypeScript sources, sorted. */
function sources(folder = root) {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      if (skipped.has(entry.name)) return [];
      const full = path.join(folder, entry.name);
      if (entry.isDirectory()) return sources(full);
      return entry.name.endsWith('.ts') && !entry.name.endsWith('.d.ts') ? [path.relative(root, full)] : [];
    })
    .sort();
}

function fingerprint(files) {
  const hash = createHash('sha256').update(process.version);
  for (const file of [...files, 'package-lock.json', 'scripts/build.mjs']) {
    const full = path.join(root, file);
    if (existsSync(full)) hash.update(file).update('\0').update(readFileSync(full));
  }
  return hash.digest('hex');
}

const stamp = (name) => path.join(dist, `.${name}-stamp`);
const isFresh = (name, print) => existsSync(stamp(name)) && readFileSync(stamp(name), 'utf8') === print;

async function transpile(files) {
  const print = fingerprint(files);
  if (isFresh('build', print)) return false;
  rmSync(dist, { recursive: true, force: true });
  const esbuild = await import('esbuild');
  await esbuild.build({
    absWorkingDir: root,
    entryPoints: files,
    outdir: dist,
    outbase: root,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: 'linked',
    logLevel: 'warning',
  });
  // Its helper process would stay as long as we do, and `npm start` goes on in this very process.
  await esbuild.stop();
  writeFileSync(path.join(dist, 'package.json'), '{"type":"module"}\n');
  writeFileSync(stamp('build'), print);
  return true;
}

const FAILURE_CONVERTER = 'temporal-config/failure-converter.ts';
const BUNDLES = { 'workflow-bundle.js': undefined, 'workflow-bundle-sealed.js': FAILURE_CONVERTER.replace(/ts$/, 'js') };

/** One prebuilt bundle serves every worker and the replay tests: workers start seconds sooner than when each bundles for itself. */
async function bundleWorkflows(entry, name, converter) {
  const inputs = sources().filter(
    (file) => /^(workflows|contracts|domain|bench\/textbook|test\/replay\/broken)\//.test(file) || file === FAILURE_CONVERTER,
  );
  const print = fingerprint(inputs);
  if (isFresh(name, print) && existsSync(path.join(dist, name))) return;
  const { bundleWorkflowCode, DefaultLogger } = await import('@temporalio/worker');
  const { code } = await bundleWorkflowCode({
    workflowsPath: path.join(dist, entry),
    workflowInterceptorModules: [path.join(dist, 'workflows/tracing.js')],
    ...(converter && { failureConverterPath: path.join(dist, converter) }),
    logger: new DefaultLogger('WARN'),
  });
  mkdirSync(path.dirname(path.join(dist, name)), { recursive: true });
  writeFileSync(path.join(dist, name), code);
  writeFileSync(stamp(name.replaceAll('/', '-')), print);
}

/** Whether dist/ is what the sources say: then there is nothing to do, and nothing but hashing was done to know it. */
export const isBuilt = () =>
  isFresh('build', fingerprint(sources())) && Object.keys(BUNDLES).every((name) => existsSync(path.join(dist, name)));

export async function build() {
  const files = sources();
  const changed = await transpile(files);
  // Where payloads are encrypted, so are the messages of failures, some of which are made inside the sandbox.
  for (const [name, converter] of Object.entries(BUNDLES)) await bundleWorkflows('workflows/index.js', name, converter);
  return changed;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await build();
