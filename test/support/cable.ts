import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A TCP line to a real server that can be broken in the ways networks break. */
export interface Cable {
  port: number;
  /** Connections end and new ones are refused */
  cut(): void;
  /** Everything is accepted and nothing arrives, in either direction, until it is mended */
  hang(): void;
  /** What is sent arrives; the answers do not, until it is mended */
  loseAnswers(): void;
  /** What was held back arrives late */
  mend(): void;
  close(): Promise<void>;
}

type State = 'whole' | 'cut' | 'hanging' | 'mute';

export async function layCable(targetPort: number): Promise<Cable> {
  let state: State = 'whole';
  const lines = new Set<{ near: Socket; far: Socket }>();

  const server = createServer((near) => {
    if (state === 'cut') return near.destroy();
    const far = connect({ host: '127.0.0.1', port: targetPort });
    const line = { near, far };
    lines.add(line);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.setNoDelay(true);
      from.on('error', () => undefined);
      from.on('data', (data) => void to.write(data));
      from.on('close', () => {
        lines.delete(line);
        to.destroy();
      });
    }
    apply(line);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  function apply({ near, far }: { near: Socket; far: Socket }): void {
    if (state === 'cut') near.destroy();
    if (state === 'hanging') near.pause();
    else near.resume();
    if (state === 'hanging' || state === 'mute') far.pause();
    else far.resume();
  }
  const become = (next: State) => () => {
    state = next;
    lines.forEach(apply);
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut: become('cut'),
    hang: become('hanging'),
    loseAnswers: become('mute'),
    mend: become('whole'),
    close: async () => {
      become('cut')();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
