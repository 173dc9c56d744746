import type { ServiceFetch } from '../http/service-fetch.js';
import type { BreakerState } from './breaker.js';

const EVERY_MS = 1_000;
const TIMEOUT_MS = 2_000;

/**
 * Asks a service whose breaker is open every second whether it is ready, and says so when it is again: the cause has ended, and
 * nobody needs to wait for the rest of the pause. One that says it is ready all along has another fault: only calls show that.
 */
export class RecoveryWatch {
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly service: ServiceFetch,
    private readonly recovered: () => void,
  ) {}

  onState(state: BreakerState): void {
    if (state === 'open') this.timer ??= this.start();
    else this.stop();
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private start(): NodeJS.Timeout {
    let wasAway = false;
    let asking = false;
    const ask = async () => {
      if (asking) return;
      asking = true;
      const ready = await this.isReady();
      asking = false;
      if (ready && wasAway) this.recovered();
      wasAway = !ready;
    };
    return setInterval(() => void ask(), EVERY_MS).unref();
  }

  private async isReady(): Promise<boolean> {
    try {
      const response = await this.service('/health/ready', { signal: AbortSignal.timeout(TIMEOUT_MS) });
      await response.body?.cancel();
      return response.ok;
    } catch {
      return false;
    }
  }
}
