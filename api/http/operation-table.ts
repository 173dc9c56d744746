import type { Operation } from './openapi.js';

/** What a method and a path are to a service: an operation, a path that has other methods, or nothing of its own. */
export type Found = { operation: Operation } | { allow: string } | null;

type Methods = Map<string, Operation>;

/**
 * Finds declared operations by request, as the router reads paths: in any case of letters, with or without the last slash. What
 * holds for every route hangs on this table, so that a new route has it by being declared.
 */
export function createOperationTable(operations: readonly Operation[]): (method: string, path: string) => Found {
  const fixed = new Map<string, Methods>();
  const templates: { pattern: RegExp; methods: Methods }[] = [];
  for (const [path, methods] of byPath(operations)) {
    if (path.includes('{'))
      templates.push({ pattern: new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`), methods });
    else fixed.set(path, methods);
  }
  return (method, path) => {
    const key = normal(path);
    const methods = fixed.get(key) ?? templates.find(({ pattern }) => pattern.test(key))?.methods;
    if (!methods) return null;
    const operation = methods.get(method) ?? (method === 'HEAD' ? methods.get('GET') : undefined);
    return operation ? { operation } : { allow: allowed(methods) };
  };
}

const normal = (path: string): string => {
  const lower = path.toLowerCase();
  return lower.length > 1 && lower.endsWith('/') ? lower.slice(0, -1) : lower;
};

function byPath(operations: readonly Operation[]): Map<string, Methods> {
  const paths = new Map<string, Methods>();
  for (const operation of operations) {
    const path = operation.path.toLowerCase();
    const methods = paths.get(path) ?? new Map<string, Operation>();
    paths.set(path, methods.set(operation.method.toUpperCase(), operation));
  }
  return paths;
}

const allowed = (methods: Methods): string =>
  [...methods.keys()].flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', ');
