/** What logs and traces say of a URL: without its query, and without the token of an invitation, which lets in whoever reads it. */
export const loggedPath = (url: string): string => (url.split('?', 1)[0] ?? '/').replace(/inv_[\w-]+/, 'inv_…');
