// npm start: installs what is missing, builds, and runs everything in this very process.
import { pathToFileURL } from 'node:url';
import { ensureBuilt } from './ensure.mjs';

await ensureBuilt();
const { distFolder } = await import('./build.mjs');
const { run } = await import(pathToFileURL(`${distFolder}/leaky.js`).href);
await run(['start', ...process.argv.slice(2)]);
