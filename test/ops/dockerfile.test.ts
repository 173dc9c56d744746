import assert from 'node:assert/strict';
import { defaults, isPinned, portOf, read } from './settings.js';
import { INSTALL_TIMEOUT_MS, installTools, tool } from './tools.js';

describe('the Dockerfile', function () {
  this.timeout(30_000);
  const text = read('Dockerfile');
  const instructions = (name: string) => [...text.matchAll(new RegExp(`^${name} (.*)$`, 'gm'))].map(([, rest]) => rest as string);

  before(function () {
    this.timeout(INSTALL_TIMEOUT_MS);
    installTools();
  });

  it('has nothing that hadolint would warn of', async () => {
    assert.deepEqual(await tool('hadolint', ['--no-color', '--failure-threshold', 'style', 'Dockerfile']), {
      code: 0,
      stdout: '',
      stderr: '',
    });
  });

  it('builds on a pinned image of the Node that the project needs', () => {
    const stages = instructions('FROM').map((rest) => rest.split(' AS '));
    const names = stages.map(([, name]) => name);
    const outside = stages.map(([image]) => image as string).filter((image) => !names.includes(image));
    assert.equal(outside.length, 1);
    assert.match(outside[0] ?? '', /^node:20\./);
    assert.ok(isPinned(outside[0] ?? ''));
  });

  it('runs as nobody special, with Node as the process that gets the signals', () => {
    const last = text.slice(text.lastIndexOf('\nFROM '));
    assert.match(last, /^USER 1000:1000$/m);
    assert.match(last, /^ENTRYPOINT \["node", "dist\/leaky.js"\]$/m);
    assert.match(last, /^HEALTHCHECK .*CMD \["node", "dist\/leaky.js", "health"\]$/m);
  });

  it('exposes the ports of the configuration', () => {
    const { stubs, ...services } = defaults.ports;
    const ports = [...Object.values(services), ...Object.values(stubs), portOf('codec')];
    assert.deepEqual(instructions('EXPOSE').join(' ').split(' ').map(Number).sort(), ports.sort());
  });
});
