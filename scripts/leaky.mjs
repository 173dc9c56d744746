// Runs the executable from a checkout: installs and builds what is missing first. `node scripts/leaky.mjs audit`
import { pathToFileURL } from 'node:url';
import { ensureBuilt } from './ensure.mjs';

await ensureBuilt();
const { distFolder } = await import('./build.mjs');
const { run } = await import(pathToFileURL(`${distFolder}/leaky.js`).href);
await run(process.argv.slice(2));
