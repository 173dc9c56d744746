import { chmodSync } from 'node:fs';
import { StartError } from './start-error.js';

/** From now on what this process and its children write can be read by their user alone: prompts, answers and keys are in it. */
export const writePrivately = (): void => void process.umask(0o077);

/** For a folder that an earlier version made, or somebody by hand. @throws StartError when it is not ours */
export function makePrivate(folder: string): void {
  try {
    chmodSync(folder, 0o700);
  } catch (error) {
    throw new StartError(`${folder} cannot be made private (mode 0700): ${(error as Error).message}`, { cause: error });
  }
}
