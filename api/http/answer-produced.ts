import type { ServerResponse } from 'node:http';

/** What is to be done when the answer is there: one list for an answer, however many wait for it. */
const waiting = Symbol('waiting for the answer');
type Awaited = ServerResponse & { [waiting]?: (() => void)[] };

/**
 * Calls `action` once: when the whole answer has been handed over for sending, or when there will be none. What a place in a
 * service stands for ends then. The end of the connection comes when the client likes: one that never reads would keep the place.
 */
export function whenProduced(res: Awaited, action: () => void): void {
  if (res[waiting]) {
    res[waiting].push(action);
    return;
  }
  res[waiting] = [action];
  const { end } = res;
  const act = () => {
    const actions = res[waiting];
    delete res[waiting];
    for (const each of actions?.reverse() ?? []) each();
  };
  res.end = ((...last: Parameters<typeof end>) => {
    res.end = end;
    const result = end.apply(res, last);
    act();
    return result;
  }) as typeof end;
  res.once('close', act);
}
