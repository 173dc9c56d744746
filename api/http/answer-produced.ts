import type { ServerResponse } from 'node:http';

/**
 * Calls `action` once: when the whole answer has been handed over for sending, or when there will be none. What a place in a
 * service stands for ends then. The end of the connection comes when the client likes: one that never reads would keep the place.
 */
export function whenProduced(res: ServerResponse, action: () => void): void {
  const { end } = res;
  let due = true;
  const act = () => {
    if (!due) return;
    due = false;
    action();
  };
  res.end = ((...last: Parameters<typeof end>) => {
    res.end = end;
    const result = end.apply(res, last);
    act();
    return result;
  }) as typeof end;
  res.once('close', act);
}
