import { statSync } from 'node:fs';
import path from 'node:path';
import { StartError } from './start-error.js';

const FAULTS: Record<string, (folder: string) => string> = {
  EACCES: (folder) => `${ownerOf(folder)}: give it to the user that starts Leaky Tokens (chown -R), start as its owner`,
  EPERM: (folder) => `${ownerOf(folder)}: give it to the user that starts Leaky Tokens (chown -R), start as its owner`,
  EROFS: () => 'its file system is mounted read-only: mount it writable',
  ENOSPC: () => 'its disk is full: make room',
  EDQUOT: () => 'the disk quota of this user is used up: make room',
  ENOTDIR: () => 'part of that path is a file: remove it',
  EEXIST: () => 'it is a file: remove it',
};

/**
 * @returns what whoever starts it can do about a fault of the data folder, in one line; null: the error is not about that folder
 */
export function explainFolderFault(dataDir: string, error: unknown): StartError | null {
  const { code = '', path: file } = error as NodeJS.ErrnoException;
  const advice = FAULTS[code];
  if (!advice || file === undefined || !isInside(dataDir, file)) return null;
  return new StartError(
    `The data folder ${dataDir} cannot be used (${code} at ${file}): ${advice(dataDir)}, or choose another with LEAKY_DATA_DIR=<folder>.`,
    { cause: error },
  );
}

/** A folder that could not be made is named by itself or by the parent that refused it. */
function isInside(dataDir: string, file: string): boolean {
  const [folder, place] = [path.resolve(dataDir), path.resolve(file)];
  return place === folder || place.startsWith(folder + path.sep) || folder.startsWith(place + path.sep);
}

function ownerOf(folder: string): string {
  for (let place = path.resolve(folder); ; place = path.dirname(place)) {
    try {
      const { uid } = statSync(place);
      return uid === process.getuid?.()
        ? 'it may not be written'
        : `${place} belongs to user id ${uid} and we are ${process.getuid?.() ?? 'another'}`;
    } catch {
      if (place === path.dirname(place)) return 'it may not be written';
    }
  }
}

/** Runs `work` on the folder; its faults are told as what to do about them. @throws StartError for these */
export async function onDataFolder<T>(dataDir: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw explainFolderFault(dataDir, error) ?? error;
  }
}
