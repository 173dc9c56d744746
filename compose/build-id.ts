import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { distRoot, projectRoot } from '../root.js';

export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(path.join(projectRoot, 'package.json'), 'utf8')) as { version: string };
  return version;
}

/** Of the workers: the version and, from the build's own stamp, a hash of the sources it was made from. Two builds of one tree have one id. */
export function builtId(): string {
  const stamp = path.join(distRoot, '.build-stamp');
  return existsSync(stamp) ? `${packageVersion()}-${readFileSync(stamp, 'utf8').slice(0, 10)}` : packageVersion();
}
