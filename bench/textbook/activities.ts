import { Context } from '@temporalio/activity';
import type { ConsumptionLedger, ConsumptionRequest } from '../../activities/consumption-ports.js';
import type { ProviderAnswer, Providers, UsageSink } from '../../activities/ports.js';

export type TextbookRequest = ConsumptionRequest;
export type TextbookActivities = ReturnType<typeof createTextbookActivities>;

/** The same ledger, providers and usage store as the product's, one item at a time. */
export function createTextbookActivities({
  ledger,
  providers,
  usage,
}: {
  ledger: ConsumptionLedger;
  providers: Providers;
  usage: UsageSink;
}) {
  const workflowId = () => Context.current().info.workflowExecution?.workflowId ?? '';
  return {
    async reserve(request: TextbookRequest): Promise<string> {
      const [outcome] = await ledger.reserve(workflowId(), [request]);
      return outcome?.state ?? 'REFUSED';
    },
    async callProvider(request: TextbookRequest): Promise<ProviderAnswer> {
      const outcome = await providers.complete({
        consumptionId: request.id,
        caller: request.userId,
        provider: request.provider,
        messages: [{ role: 'user', content: request.prompt ?? 'Hello' }],
        maxTokens: request.tokens,
      });
      if (!outcome.ok) throw new Error(outcome.detail);
      return outcome.answer;
    },
    async settle(id: string, charge: number, answer: ProviderAnswer): Promise<void> {
      await ledger.settle([{ id, workflowId: workflowId(), charge, code: null, detail: null, attempts: 1, answer }]);
    },
    async publishUsage(id: string): Promise<void> {
      await usage.publish(await ledger.usageOf(workflowId(), [id]));
    },
    nothing: (): Promise<void> => Promise.resolve(),
  };
}
