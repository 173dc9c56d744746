// npm run bench: installs and builds what is missing, then measures. Arguments go on: `npm run bench -- --help`
import { pathToFileURL } from 'node:url';
import { ensureBuilt } from './ensure.mjs';

await ensureBuilt();
const { distFolder } = await import('./build.mjs');
await import(pathToFileURL(`${distFolder}/bench/run.js`).href);
