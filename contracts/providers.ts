/** The closed list of LLM providers; any other name is refused with UNKNOWN_PROVIDER. */
export const PROVIDERS = ['openai', 'gemini', 'qwen'] as const;
export type ProviderName = (typeof PROVIDERS)[number];
