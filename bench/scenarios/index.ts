import { consume, openLoop } from './consume.js';
import { gateway } from './gateway.js';
import { hotPool, ledger, users } from './growth.js';
import { overload } from './overload.js';
import { purchase } from './purchase.js';
import { login, quota, report } from './reads.js';
import type { Scenario } from './scenario.js';
import { slowProvider } from './slow-provider.js';
import { soak } from './soak.js';

export const scenarios = (soakMinutes: number): readonly Scenario[] => [
  consume,
  openLoop,
  gateway,
  purchase,
  quota,
  login,
  report,
  hotPool,
  ledger,
  users,
  overload,
  slowProvider,
  soak(soakMinutes),
];
