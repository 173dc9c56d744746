import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { distRoot, projectRoot } from '../../root.js';

/** Each makes an emitter that nobody listens to and has it fail. */
const STRAYS: Record<string, string> = {
  'a socket': `new net.Socket().destroy(Object.assign(new Error('x'), { code: 'ECONNRESET' }))`,
  'a socket that nobody serves': `net.connect(1, '127.0.0.1')`,
  'a stream to a full disk': `fs.createWriteStream('/dev/full').write('x')`,
  'a pipe without a reader': `
    const child = spawn('/bin/sh', ['-c', 'exec <&-; sleep 0.5'], { stdio: ['pipe', 'ignore', 'ignore'] });
    setTimeout(() => child.stdin.write('x'.repeat(200_000)), 100);`,
  'a request whose server hangs up': `
    const server = net.createServer((socket) => socket.destroy()).listen(0, () =>
      http.get({ port: server.address().port, host: '127.0.0.1' }).on('close', () => server.close()));`,
  'a promise that nobody awaits': `void Promise.reject(Object.assign(new Error('x'), { code: 'EPIPE' }))`,
  'a promise of a connection': `void new PostgresClient({ connectionString: 'postgres://x@127.0.0.1:1/x' }).connect()`,
};

describe('an error that nobody listens for', function () {
  this.timeout(30_000);

  function run(script: string): { code: number | null; output: string } {
    const from = (file: string) => pathToFileURL(path.join(distRoot, file)).href;
    const program = `
      import net from 'node:net'; import http from 'node:http'; import fs from 'node:fs'; import { spawn } from 'node:child_process';
      import { createLifecycle } from '${from('compose/process.js')}';
      import { PostgresClient } from '${from('adapters/postgres/client.js')}';
      const lifecycle = createLifecycle((line) => console.log('said: ' + line), (error) => console.log('heard: ' + error.message));
      lifecycle.onStop(async () => console.log('stopped in order'));
      ${script}
      setTimeout(() => { console.log('lives'); process.exit(0); }, 700);`;
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], { cwd: projectRoot });
    return { code: status, output: `${stdout.toString()}${stderr.toString()}` };
  }

  for (const [what, script] of Object.entries(STRAYS)) {
    it(`of ${what} is said, and the process goes on`, () => {
      const { code, output } = run(script);
      assert.match(output, /heard: an error that nobody listened for/);
      assert.match(output, /lives/);
      assert.equal(code, 0, output);
    });
  }

  it('is none of an answer that goes on after its end, nor of a connection that could not be accepted', () => {
    const { code, output } = run(`
      const { listen } = await import('${pathToFileURL(path.join(distRoot, 'api/http/service.js')).href}');
      let server;
      const { port } = await listen((req, res) => {
        server = req.socket.server;
        res.end('answered');
        res.write('too late');
        server.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' }));
      }, '127.0.0.1', 0);
      console.log(await (await fetch('http://127.0.0.1:' + port)).text());`);
    assert.match(output, /answered/);
    assert.doesNotMatch(output, /heard|too late/);
    assert.equal(code, 0, output);
  });

  it('that is a fault of the program ends it, in order', () => {
    const { code, output } = run(`setTimeout(() => { null.member; }, 1)`);
    assert.match(output, /heard: Cannot read properties of null/);
    assert.match(output, /said: Stopping: a fault of the program\nstopped in order/);
    assert.doesNotMatch(output, /lives/);
    assert.equal(code, 1);
  });
});
