/**
 * A port whose calls can be broken while it runs: a function in `faults` stands in for the method of its name, and may call the
 * real one, which it gets first.
 */
export type Faults<Port> = {
  [Method in keyof Port]?: Port[Method] extends (...args: infer Args) => infer Result
    ? (real: Port[Method], ...args: Args) => Result
    : never;
};

export function faulty<Port extends object>(real: Port, faults: Faults<Port>): Port {
  return new Proxy(real, {
    get(target, name) {
      const method = Reflect.get(target, name) as (...args: unknown[]) => unknown;
      return (...args: unknown[]) => {
        const fault = Reflect.get(faults, name) as ((real: unknown, ...args: unknown[]) => unknown) | undefined;
        return fault ? fault(method, ...args) : method(...args);
      };
    },
  });
}

/** The error of a broken connection, as the driver reports it. */
export const connectionLost = (): Promise<never> => Promise.reject(new Error('Connection terminated unexpectedly'));
