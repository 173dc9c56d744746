import { OpenApiGeneratorV31, OpenAPIRegistry, extendZodWithOpenApi } from '@asteasolutions/zod-to-openapi';
import { Router, type RequestHandler } from 'express';
import swaggerUi from 'swagger-ui-express';
import { z } from 'zod';
import { cacheable } from './caching.js';

extendZodWithOpenApi(z);

const problem = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    message: z.string(),
    timestamp: z.string(),
    path: z.string(),
    correlationId: z.string(),
    errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
  })
  .openapi('Problem');

/** One documented operation. The schemas are the very ones the handler validates with. */
export interface Operation {
  method: 'get' | 'post' | 'put' | 'delete';
  /** OpenAPI form: /purchase/{sagaId} */
  path: string;
  summary: string;
  tag: string;
  public?: boolean;
  /** For browsers or for ourselves: not in the documents */
  undocumented?: boolean;
  body?: z.ZodType;
  query?: z.ZodObject;
  params?: z.ZodObject;
  headers?: z.ZodObject;
  /** `type`: of a 2xx body, default application/json */
  responses: Record<number, { description: string; schema?: z.ZodType; type?: string }>;
}

export function openApiDocument(title: string, operations: readonly Operation[], serverUrl: string) {
  const registry = new OpenAPIRegistry();
  const bearer = registry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' });
  const apiKey = registry.registerComponent('securitySchemes', 'apiKey', { type: 'apiKey', in: 'header', name: 'X-Api-Key' });
  registry.register('Problem', problem);
  for (const operation of operations) {
    if (operation.undocumented) continue;
    registry.registerPath({
      method: operation.method,
      path: operation.path,
      summary: operation.summary,
      tags: [operation.tag],
      security: operation.public ? [] : [{ [bearer.name]: [] }, { [apiKey.name]: [] }],
      request: {
        ...(operation.body && { body: { required: true, content: { 'application/json': { schema: operation.body } } } }),
        ...(operation.query && { query: operation.query }),
        ...(operation.params && { params: operation.params }),
        ...(operation.headers && { headers: operation.headers }),
      },
      responses: Object.fromEntries(
        Object.entries({ ...commonRefusals(operation), ...operation.responses }).map(
          ([status, { description, schema, type = 'application/json' }]) => [
            status,
            {
              description,
              ...(Number(status) >= 400
                ? { content: { 'application/problem+json': { schema: schema ?? problem } } }
                : schema && { content: { [type]: { schema } } }),
            },
          ],
        ),
      ),
    });
  }
  return new OpenApiGeneratorV31(registry.definitions).generateDocument({
    openapi: '3.1.0',
    info: {
      title,
      version: '0.1.0',
      description: 'Leaky Tokens sells and meters LLM tokens. Errors are application/problem+json (RFC 9457).',
    },
    servers: [{ url: serverUrl }],
  });
}

/** What an operation may be refused with whatever it does; its own descriptions win. */
function commonRefusals({ body, public: open }: Operation): Operation['responses'] {
  return {
    400: { description: 'Not valid: `errors` names the members and the parameters that are not known' },
    ...(!open && { 401: { description: 'No credentials, or bad ones' }, 403: { description: 'Not allowed to this caller' } }),
    ...(body && { 413: { description: 'The body is too large' }, 415: { description: 'The body is not application/json' } }),
    429: { description: 'Too many requests; see Retry-After' },
    503: { description: 'The service cannot take the request now; see Retry-After' },
    504: { description: 'The service did not answer in time' },
  };
}

const CACHED = 'public, max-age=300';

const cached: RequestHandler = (_req, res, next) => {
  cacheable(res, CACHED);
  next();
};

/** Serves the document at /openapi.json and its UI at /docs. The document is made on first use: start-up does not pay for it. */
export function openApiRoutes(makeDocument: () => object): Router {
  let document: string | undefined;
  const router = Router();
  router.get('/openapi.json', (_req, res) => {
    cacheable(res, CACHED);
    res.type('application/json').send((document ??= JSON.stringify(makeDocument())));
  });
  router.use('/docs', cached, swaggerUi.serve, swaggerUi.setup(undefined, { swaggerOptions: { url: '/openapi.json' } }));
  return router;
}
