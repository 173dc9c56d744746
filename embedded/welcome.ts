import type { Config } from '../config.js';

export interface Welcome {
  config: Config;
  /** The binary that runs the embedded Temporal server; null when the server is not ours */
  cli: string | null;
  /** Null: given by configuration or printed at an earlier start */
  newAdmin: { username: string; password: string } | null;
  logFile: string;
  seconds: number;
}

/** What one needs to know after a start: where everything is, and four lines that show it at work. */
export function welcome({ config, cli, newAdmin, logFile, seconds }: Welcome): string {
  const local = (port: number) => `http://${config.host === '0.0.0.0' ? '127.0.0.1' : config.host}:${port}`;
  const { stubs } = config.ports;
  const rows: [string, string][] = [
    ['Gateway', config.publicUrl],
    ['API docs', `${config.publicUrl}/docs`],
    ...(config.temporal.embeddedUiPort > 0
      ? ([['Temporal Web UI', `http://127.0.0.1:${config.temporal.embeddedUiPort}`]] as [string, string][])
      : []),
    ...(cli === null ? [] : ([['Temporal CLI', cli]] as [string, string][])),
    ['Services', `auth ${local(config.ports.auth)}  tokens ${local(config.ports.tokens)}  analytics ${local(config.ports.analytics)}`],
    ['Provider stubs', `qwen ${local(stubs.qwen)}  gemini ${local(stubs.gemini)}  openai ${local(stubs.openai)}`],
    ['Data', config.dataDir],
    ['Log', logFile],
    ['Admin', newAdmin ? `${newAdmin.username} / ${newAdmin.password}  (shown only now)` : (config.auth.adminUsername ?? 'none')],
  ];
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  return [
    '',
    `Leaky Tokens is ready (${seconds.toFixed(1)} s). Ctrl-C stops everything.`,
    '',
    ...rows.map(([name, value]) => `  ${name.padEnd(width)}${value}`),
    '',
    'Try it (paste into another terminal):',
    '',
    ...curlLines(config.publicUrl),
    '',
  ].join('\n');
}

/** Register, buy, spend, look. They need curl and a POSIX shell, nothing else. */
export function curlLines(gateway: string): string[] {
  const json = `-H 'Content-Type: application/json'`;
  const bearer = `-H "Authorization: Bearer $TOKEN"`;
  const field = (name: string) => `$(printf %s "$ME" | sed 's/.*"${name}":"\\([^"]*\\)".*/\\1/')`;
  const body = `{"userId":"'$USER_ID'","provider":"openai","tokens":`;
  return [
    `N=$(date +%s); ME=$(curl -sS ${gateway}/api/v1/auth/register ${json} -d '{"username":"ada-'$N'","email":"ada-'$N'@example.com","password":"correct horse"}'); TOKEN=${field('token')}; USER_ID=${field('userId')}; echo "$ME"`,
    `curl -sS ${gateway}/api/v1/tokens/purchase ${bearer} ${json} -d '${body}1000}'; echo; sleep 2`,
    `curl -sS ${gateway}/api/v1/tokens/consume ${bearer} ${json} -d '${body}25,"prompt":"Why do buckets leak?"}'; echo; sleep 1`,
    `curl -sS "${gateway}/api/v1/analytics/usage?provider=openai" ${bearer}; echo`,
  ];
}
