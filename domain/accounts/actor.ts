/** Who makes a change, as the admin log names it. */
export interface Actor {
  /** `system`: by schedule. `configuration`: what the configuration asks for at the start */
  userId: string;
  correlationId: string | null;
}

export const SYSTEM: Actor = { userId: 'system', correlationId: null };
export const CONFIGURATION: Actor = { userId: 'configuration', correlationId: null };
