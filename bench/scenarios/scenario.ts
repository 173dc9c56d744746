import type { Stage } from '../stage.js';

export interface Scenario {
  name: string;
  description: string;
  /** Only when it is named: it takes long */
  onlyWhenNamed?: boolean;
  run(stage: Stage): Promise<void>;
}
