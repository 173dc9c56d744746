import type { PaymentMethods } from '../../activities/purchase-ports.js';

/**
 * What the payment simulator can be told to do, by the name of the payment method, with an optional number after a colon:
 *
 * | method                | behaviour                                                                | number        |
 * |-----------------------|--------------------------------------------------------------------------|---------------|
 * | sim_approve           | everything succeeds                                                      | –             |
 * | sim_decline           | the reservation is declined                                              | –             |
 * | sim_timeout           | capture takes the money, then the first answers are lost                 | answers (2)   |
 * | sim_timeout_reserve   | reserve holds the money, then the first answers are lost                 | answers (2)   |
 * | sim_capture_fails     | the capture is declined                                                  | –             |
 * | sim_capture_timeout   | capture takes the money and never answers                                | –             |
 * | sim_release_fails     | the capture is declined, then the first releases fail                    | releases (5)  |
 * | sim_slow              | reserve holds the money at once and answers the first time after a while | ms (2,000)    |
 * | sim_slow_capture      | capture takes the money at once and answers the first time after a while | ms (2,000)    |
 */
const DEFAULT_NUMBERS = {
  sim_approve: null,
  sim_decline: null,
  sim_timeout: 2,
  sim_timeout_reserve: 2,
  sim_capture_fails: null,
  sim_capture_timeout: null,
  sim_release_fails: 5,
  sim_slow: 2_000,
  sim_slow_capture: 2_000,
} as const;

export type Behaviour = keyof typeof DEFAULT_NUMBERS;

export interface SimulatedMethod {
  behaviour: Behaviour;
  /** Answers, releases or milliseconds, as the behaviour has it; 0 where it has none */
  number: number;
}

const GRAMMAR = /^(sim_[a-z_]+)(?::(\d{1,6}))?$/;

/** Null when the simulator has no such method. */
export function parseMethod(method: string): SimulatedMethod | null {
  const [, name, number] = GRAMMAR.exec(method) ?? [];
  if (name === undefined || !Object.hasOwn(DEFAULT_NUMBERS, name)) return null;
  const behaviour = name as Behaviour;
  const fallback = DEFAULT_NUMBERS[behaviour];
  if (fallback === null) return number === undefined ? { behaviour, number: 0 } : null;
  return { behaviour, number: number === undefined ? fallback : Number(number) };
}

const LABELS: Record<Behaviour, string> = {
  sim_approve: 'Everything succeeds',
  sim_decline: 'The reservation is declined',
  sim_timeout: 'The money is taken, and the first answers are lost',
  sim_timeout_reserve: 'The money is held, and the first answers are lost',
  sim_capture_fails: 'The capture is declined',
  sim_capture_timeout: 'The money is taken, and no capture is ever answered',
  sim_release_fails: 'The capture is declined, and the first releases fail',
  sim_slow: 'The reservation is answered after a while',
  sim_slow_capture: 'The capture is answered after a while',
};

export const simulatedMethods: PaymentMethods = {
  provider: 'simulator',
  simulated: true,
  minimumCents: 1,
  choices: Object.entries(LABELS).map(([id, label]) => ({ id, label })),
  fallback: 'sim_approve',
  fault: (method) =>
    parseMethod(method) ? null : `the payment simulator has no method of this name; it has ${Object.keys(DEFAULT_NUMBERS).join(', ')}`,
};
