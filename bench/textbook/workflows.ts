import { proxyActivities } from '@temporalio/workflow';
import type { TextbookActivities, TextbookRequest } from './activities.js';

const { reserve, callProvider, settle, publishUsage, nothing } = proxyActivities<TextbookActivities>({
  startToCloseTimeout: '30s',
  retry: { maximumAttempts: 3 },
});

/** One workflow for each request, one regular activity for each step: what a tutorial would write, and the lower bound here. */
export async function textbookConsume(request: TextbookRequest): Promise<string> {
  const state = await reserve(request);
  if (state !== 'HELD') return state;
  const answer = await callProvider(request);
  await settle(request.id, request.tokens, answer);
  await publishUsage(request.id);
  return 'SETTLED';
}

/** A workflow with activities that do nothing: what a purchase would cost if its steps were free. */
export async function bare(activities: number): Promise<void> {
  for (let step = 0; step < activities; step++) await nothing();
}
