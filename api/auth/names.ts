/** Two names with the same key are the same name: case and compatibility forms (full-width letters, ligatures) don't count. */
export const usernameKey = (username: string): string => username.normalize('NFKC').trim().toLowerCase().normalize('NFKC');
