// npm run stack: installs and builds what is missing, then runs the full stack natively. Arguments go on: `npm run stack -- --help`
import { pathToFileURL } from 'node:url';
import { ensureBuilt } from './ensure.mjs';

await ensureBuilt();
const { distFolder } = await import('./build.mjs');
const { run } = await import(pathToFileURL(`${distFolder}/stack/main.js`).href);
await run(process.argv.slice(2));
