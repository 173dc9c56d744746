/** What GET / of a stub answers. */
export const HELP = `Leaky Tokens: stub of {provider}. It answers from the prompt alone and counts four characters as a token.

POST /v1/chat/completions                                  openai, qwen: OpenAI's format, with stream: true as well; GET /v1/models
POST /v1beta/models/{model}:generateContent                gemini; also :streamGenerateContent?alt=sse; GET /v1beta/models
POST /api/v1/{provider}/chat  {"prompt": "hello"}          {id, provider, message}
GET  /control[?consumptionId=...]                          settings and counts of calls (attempts of one consumption)
PUT  /control                                              changes the settings of all calls, DELETE /control resets them and the counts
GET  /health/live

Settings (all optional):
  latencyMs          before each answer
  mode               ok | fail (500) | status | hang | cut | nonsense | refuse
  failRate           0 to 1: the share of the calls that misbehave (alone: they fail)
  status             of mode status, 400 to 599
  retryAfterSeconds  Retry-After of errors, null for none
  nonsense           html | json | empty | missing | no-usage | negative-usage | huge-usage | huge
  refusal            of mode refuse: context | model | quota | prompt | answer | tools
  chunkDelayMs       after each event of a stream

Markers in a prompt, for that call only:
  [stub:slow=800]    [stub:chunk-delay=50]     milliseconds
  [stub:fail]        [stub:fail=2]             always, or the first two attempts of a consumption (its Idempotency-Key, else its prompt)
  [stub:hang]        [stub:cut]                with =N too
  [stub:status=429]  [stub:retry-after=2]      [stub:times=1] limits any of them to the first attempts
  [stub:refuse=context]                        declines for good, as the provider words it
  [stub:nonsense]    [stub:nonsense=no-usage]  [stub:usage=123] reports that many tokens in all
`;
