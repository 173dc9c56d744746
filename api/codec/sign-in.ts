import type { Router } from 'express';
import type { Operation } from '../http/openapi.js';

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Leaky Tokens: codec server</title>
<h1>Codec server</h1>
<p>Signed in here, the Temporal Web UI of this browser shows what is encrypted. Set its codec endpoint to this address, with
cross-origin credentials.</p>
<form><label>Token of an ADMIN, or of this server <input type="password" name="token" autocomplete="off" required></label>
<button>Sign in</button></form>
<p role="status"></p>
<script src="/sign-in.js"></script>
</html>
`;

/** A file of its own, as the security headers allow no script inside a page. */
const SCRIPT = `document.querySelector('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const token = new FormData(event.target).get('token');
  const response = await fetch('/session', { method: 'POST', headers: { authorization: 'Bearer ' + token } });
  const text = response.ok ? 'Signed in for eight hours.' : (await response.json()).detail;
  document.querySelector('[role=status]').textContent = text;
});
`;

const forPeople = { tag: 'sign in', undocumented: true, responses: {} };

/** For people; no part of the documented API. */
export const signInOperations: readonly Operation[] = [
  { ...forPeople, method: 'get', path: '/sign-in', summary: 'The page', public: true },
  { ...forPeople, method: 'get', path: '/sign-in.js', summary: 'Its script', public: true },
  { ...forPeople, method: 'post', path: '/session', summary: 'Remember the credentials of this request' },
];

export function signInPage(router: Router): void {
  router.get('/sign-in', (_req, res) => void res.type('html').send(PAGE));
  router.get('/sign-in.js', (_req, res) => void res.type('js').send(SCRIPT));
}
