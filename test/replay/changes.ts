import { WORKFLOWS } from '../../contracts/temporal.js';
import type { History } from '../../adapters/temporal/history-json.js';
import { activitiesOf, localActivitiesOf } from './histories.js';

/** A careless change of a workflow: in this file, each of these texts (which occur once) becomes the other one. */
export interface Change {
  /** Part of an identifier */
  name: string;
  workflow: string;
  file: string;
  edits: (readonly [from: string, to: string])[];
  /** Whether an execution with this history has been through what is changed: then its replay must fail, else it must not. */
  breaks: (history: History) => boolean;
}

const did = (activity: string) => (history: History) =>
  activitiesOf(history).includes(activity) || localActivitiesOf(history).includes(activity);
const everything = () => true;
const nothing = () => false;

const { purchaseQuota, consumeTokens, rollUpUsage, enforceRetention, scanAnomalies, reconcileLedger, auditLedger } = WORKFLOWS;
const purchase = { workflow: purchaseQuota, file: 'quota-purchase.ts' };
const consumption = { workflow: consumeTokens, file: 'token-consumption.ts' };
const CAPTURE = 'const capture = await steps.capturePayment(order, paymentId);';

export const CHANGES: readonly Change[] = [
  {
    ...purchase,
    name: 'stepRemoved',
    edits: [['await steps.openSaga(order, workflowInfo().firstExecutionRunId)', '{ runId: workflowInfo().firstExecutionRunId }']],
    breaks: everything,
  },
  {
    ...purchase,
    name: 'stepsSwapped',
    edits: [
      ['const payment = await steps.reservePayment(order);', 'const payment = await steps.allocateTokens(order);'],
      ['const allocation = await steps.allocateTokens(order);', 'const allocation = await steps.reservePayment(order);'],
    ],
    breaks: did('reservePayment'),
  },
  {
    ...purchase,
    name: 'stepAdded',
    edits: [[CAPTURE, `await steps.openSaga(order, ''); ${CAPTURE}`]],
    breaks: did('capturePayment'),
  },
  {
    ...purchase,
    name: 'waitAdded',
    edits: [[CAPTURE, `await condition(() => false, 1); ${CAPTURE}`]],
    breaks: did('capturePayment'),
  },
  {
    ...purchase,
    name: 'waitAddedForNewOnes',
    edits: [
      ['  rootCause,\n', '  rootCause,\n  patched,\n'],
      [CAPTURE, `if (patched('wait')) await condition(() => false, 1); ${CAPTURE}`],
    ],
    breaks: nothing,
  },
  {
    ...purchase,
    name: 'otherArguments',
    edits: [[CAPTURE, 'const capture = await steps.capturePayment({ ...order, tokens: 1 }, paymentId);']],
    breaks: nothing,
  },
  {
    ...purchase,
    file: 'purchase-steps.ts',
    name: 'otherTimeouts',
    edits: [["startToCloseTimeout: '30 seconds'", "startToCloseTimeout: '31 seconds'"]],
    breaks: nothing,
  },
  {
    ...purchase,
    file: 'interruptible.ts',
    name: 'longerTimer',
    edits: [['sleep(limit.ms,', 'sleep(limit.ms + 1,']],
    breaks: nothing,
  },
  {
    ...purchase,
    file: 'saga.ts',
    name: 'undoneInTheOtherOrder',
    edits: [['let step = this.compensations.at(-1)', 'let step = this.compensations.at(0)']],
    breaks: did('voidTokens'),
  },
  {
    ...consumption,
    name: 'stepRemoved',
    edits: [['if (held + refused > 0) await publishUsage(batch);', '']],
    breaks: did('publishUsage'),
  },
  {
    ...consumption,
    name: 'stepAdded',
    edits: [['const reserved = await tryReserve(batch);', 'await publishUsage(batch); const reserved = await tryReserve(batch);']],
    breaks: everything,
  },
  {
    ...consumption,
    name: 'stepsAtOnce',
    edits: [
      ['const reserved = await tryReserve(batch);', 'const [reserved] = await Promise.all([tryReserve(batch), publishUsage(batch)]);'],
    ],
    // One that was ended from outside after its first step has nothing to show of a step beside it.
    breaks: ({ events }) => Boolean(events?.at(-1)?.workflowExecutionCompletedEventAttributes),
  },
  {
    ...consumption,
    name: 'localMadeRemote',
    edits: [
      ['import { CancellationScope,', 'import { CancellationScope, proxyActivities,'],
      ['const { reserveTokens } = proxyLocalActivities', 'const { reserveTokens } = proxyActivities'],
    ],
    breaks: everything,
  },
  {
    workflow: rollUpUsage,
    file: 'maintenance.ts',
    name: 'cutSooner',
    edits: [['const ROUNDS = 12;', 'const ROUNDS = 6;']],
    breaks: (history) => activitiesOf(history).length > 6,
  },
  {
    workflow: enforceRetention,
    file: 'maintenance.ts',
    name: 'stepsSwapped',
    edits: [
      ['await repeat(() => purgeConsumptions(result.before))', 'await repeat(() => purgeUsage(result.before))'],
      ['const usage = await repeat(() => purgeUsage(result.before))', 'const usage = await repeat(() => purgeConsumptions(result.before))'],
    ],
    breaks: everything,
  },
  {
    workflow: scanAnomalies,
    file: 'maintenance.ts',
    name: 'stepRemoved',
    edits: [['await findAnomalies(windowEnd, scan)', '[]']],
    breaks: everything,
  },
  {
    workflow: reconcileLedger,
    file: 'reconciliation.ts',
    name: 'stepReplaced',
    edits: [['return releaseOrphans(olderThanSeconds);', 'return audit.auditLedger(olderThanSeconds);']],
    breaks: everything,
  },
  {
    workflow: auditLedger,
    file: 'reconciliation.ts',
    name: 'stepAdded',
    edits: [
      ['return audit.auditLedger(graceSeconds);', 'return audit.auditLedger(graceSeconds).then(() => audit.auditLedger(graceSeconds));'],
    ],
    breaks: ({ events }) => !events?.at(-1)?.workflowExecutionFailedEventAttributes,
  },
];

/** The name under which the bundle of changed workflows has the changed form. */
export const changedName = ({ workflow, name }: Change): string => `${workflow}_${name}`;
