import { CONFUSABLES } from './confusables.js';
import { isOfOneScript } from './scripts.js';

/** Two names with the same key are the same name: case and compatibility forms (full-width letters, ligatures) don't count. */
export const usernameKey = (username: string): string => username.normalize('NFKC').trim().toLowerCase().normalize('NFKC');

const LOOKS = new Map(
  CONFUSABLES.trim()
    .split(/\s+/)
    .map((entry) => entry.split(':').map(fromCodes) as [string, string]),
);

function fromCodes(codes: string): string {
  return String.fromCodePoint(...codes.split('.').map((code) => Number.parseInt(code, 16)));
}

/**
 * Two names with the same skeleton look alike (UTS 39, 4), whatever their case: `paypaI` and `paypal`, `асе` and `ace`. Not to be
 * shown to anybody: it is no spelling of the name.
 */
export function usernameSkeleton(username: string): string {
  const visible = username.normalize('NFKC').replaceAll(/\p{DI}/gu, '');
  // Twice: what looks like a capital letter is compared as a small one, too.
  return looks(looks(visible));
}

function looks(text: string): string {
  return Array.from(text.normalize('NFD'), (character) => LOOKS.get(character) ?? character)
    .join('')
    .toLowerCase()
    .normalize('NFD');
}

/** More marks on one letter draw over the lines around it. */
const PILED = /\p{M}{5}/u;

/** Laws of new names, with what is said of one that breaks them; names of before may break them and keep logging in. */
export const USERNAME_LAWS: readonly (readonly [law: (name: string) => boolean, says: string])[] = [
  [(name) => !/\p{DI}/u.test(name), 'must not contain characters that cannot be seen'],
  [
    (name) => /[\p{L}\p{N}]/u.test(name) && !/^\p{M}/u.test(name) && !PILED.test(name),
    'must have letters or digits, and no piles of accents',
  ],
  [(name) => !name.includes('  '), 'must not have two spaces in a row'],
  [isOfOneScript, 'must be written in one script: letters of another one look alike'],
];
