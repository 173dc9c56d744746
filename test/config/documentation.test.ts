import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { configCommands } from '../../compose/configuration.js';
import { listVariables } from '../../config.js';
import { environmentSchema } from '../../config/sections.js';
import { isAmbient } from '../../config/describe.js';
import { projectRoot } from '../../root.js';

const FILE = path.join(projectRoot, 'docs/configuration.md');
const RECORD = 'LEAKY_RECORD_DOCS=1 npm test -- test/config/documentation.test.ts';
const MARK = `<!-- Below: ${RECORD} -->\n\n`;

describe('docs/configuration.md', () => {
  it('lists the variables as the schema has them', () => {
    const text = readFileSync(FILE, 'utf8');
    const wanted = text.slice(0, text.indexOf(MARK)) + MARK + configCommands.list(true);
    if (process.env.LEAKY_RECORD_DOCS) writeFileSync(FILE, wanted);
    else assert.equal(text, wanted, `a variable has changed; write the list anew: ${RECORD}`);
  });

  it('leaves none out, and each says what it is for', () => {
    const listed = listVariables().flatMap(({ variables }) => variables);
    const declared = Object.entries(environmentSchema.shape).filter(([, schema]) => !isAmbient(schema));
    assert.deepEqual(listed.map(({ name }) => name).sort(), declared.map(([name]) => name).sort());
    assert.deepEqual(
      listed.filter(({ description }) => description === '').map(({ name }) => name),
      [],
    );
  });
});
