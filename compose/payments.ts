import { validate } from 'uuid';
import { PaymentOutcomeUnknown, type Payment, type Payments, type UndoOutcome } from '../activities/purchase-ports.js';
import { createPayments } from '../adapters/payments/index.js';
import { createPurchaseLedger } from '../adapters/postgres/ledger-purchases.js';
import { createPaymentCases, type PaymentCase } from '../adapters/postgres/payment-cases.js';
import { createPool, type Database } from '../adapters/postgres/pool.js';
import { ConfigError, type Config } from '../config.js';
import { withDatabaseUrl } from '../embedded/borrow-postgres.js';

const LISTED = 20;

/** What an operator sees of payments, one line each, and does about them. Answers what to print. */
export const paymentCommands = {
  list: (config: Config): Promise<string> =>
    withDatabase(config, async (db) => (await createPaymentCases(db).newest(LISTED)).map(describe).join('')),

  show: (config: Config, sagaId: string): Promise<string> => withDatabase(config, async (db) => describe(await required(db, sagaId))),

  /**
   * Gives the money of a purchase back, whatever state the payment is in: a hold is released, captured money refunded.
   * @param terminated its workflow was ended from outside: the purchase is ended here, and its tokens are voided
   * @throws ConfigError when a workflow is in charge, or the buyer has the tokens
   */
  refund: (config: Config, sagaId: string, { terminated }: { terminated: boolean }): Promise<string> =>
    withDatabase(config, async (db) => {
      const payment = (await found(db, sagaId)) ?? lone(config, sagaId);
      requireRefundable(payment, terminated);
      // First, and refused when they are posted meanwhile: whoever has the money back must not keep the tokens.
      await createPurchaseLedger(db).void(sagaId);
      const outcome = await outcomeOf(
        createPayments(config, () => db),
        {
          key: sagaId,
          amountCents: payment.amountCents,
          method: payment.method,
          description: 'refund by an operator',
          paymentId: payment.paymentId,
          unrecordedSince: payment.paymentId === null ? payment.createdAt : null,
        },
      );
      if (terminated) await createPaymentCases(db).endPurchase(sagaId);
      const after = await found(db, sagaId);
      return `${OUTCOMES[outcome]}\n${after ? describe(after) : ''}`;
    }),
};

const OUTCOMES = {
  NOTHING: 'Nothing was held or taken any more.',
  RELEASED: 'The hold was released.',
  REFUNDED: 'The money was refunded.',
};

function requireRefundable({ status, allocation }: PaymentCase, terminated: boolean): void {
  if (status === 'COMPLETED' || allocation === 'POSTED')
    throw new ConfigError('The buyer has the tokens of this payment; it is not refunded');
  if (status !== null && status !== 'FAILED' && !terminated) {
    throw new ConfigError(
      'The purchase is open, and its workflow gives the money back itself: cancel it, or send retryNow. --terminated, if the workflow is no more',
    );
  }
}

/** Answered in the words of the provider: the money is where it was, and a repeat is safe. */
async function outcomeOf(payments: Payments, payment: Payment): Promise<UndoOutcome> {
  try {
    return await payments.undo(payment);
  } catch (error) {
    if (error instanceof PaymentOutcomeUnknown) throw new ConfigError(`It is not known whether the money was given back: ${error.message}`);
    throw error;
  }
}

const found = async (db: Database, sagaId: string): Promise<PaymentCase | null> =>
  validate(sagaId) ? createPaymentCases(db).find(sagaId) : null;

async function required(db: Database, sagaId: string): Promise<PaymentCase> {
  return (await found(db, sagaId)) ?? unknown(sagaId);
}

function unknown(sagaId: string): never {
  throw new ConfigError(`${sagaId}: there is no such purchase, and no payment of it is known here`);
}

/** A payment that Stripe alone knows of, by the saga id in its metadata: the audit names such. */
function lone({ payments }: Config, sagaId: string): PaymentCase {
  if (!payments.stripe.apiKey || !validate(sagaId)) unknown(sagaId);
  const nothing = { status: null, parkedOn: null, tokens: null, allocation: null, simulated: null, paymentId: null };
  return { ...nothing, sagaId, amountCents: 0, method: 'pm_', createdAt: new Date(0) };
}

function describe({
  sagaId,
  status,
  parkedOn,
  tokens,
  amountCents,
  method,
  allocation,
  simulated,
  paymentId,
  createdAt,
}: PaymentCase): string {
  const facts = [
    createdAt.toISOString(),
    sagaId,
    status === null ? 'no purchase' : `${status}${parkedOn ? ` (parked on: ${parkedOn})` : ''}`,
    `${tokens ?? 'no'} tokens ${allocation ?? 'not set aside'}`,
    `${amountCents} US cents by ${method}`,
    simulated ? `simulated: ${simulated}` : `payment ${paymentId ?? 'id not known'}`,
  ];
  return `${facts.join('  ')}\n`;
}

const withDatabase = (config: Config, work: (db: Database) => Promise<string>): Promise<string> =>
  withDatabaseUrl(config, async (url) => {
    const pool = createPool(url, 1);
    return work(pool).finally(() => pool.end());
  });
