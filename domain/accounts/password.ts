/**
 * The form of a password that is hashed: keyboards and systems write the same letters in different ways (NFC, NFD, full width),
 * and people cannot see which.
 */
export const normalisePassword = (password: string): string => password.normalize('NFKC');
