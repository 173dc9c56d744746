import assert from 'node:assert/strict';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { call, type Answer } from './http.js';

export interface Schema {
  [member: string]: unknown;
}
interface Content {
  content?: Record<string, { schema: Schema }>;
}
export interface DocumentedOperation {
  security?: object[];
  parameters?: { name: string; in: 'path' | 'query' | 'header'; required?: boolean; schema: Schema }[];
  requestBody?: Content;
  responses: Record<string, Content>;
}
export interface OpenApiDocument {
  openapi: string;
  paths: Record<string, Record<string, DocumentedOperation>>;
  components: { schemas: Record<string, Schema>; securitySchemes: object };
  servers: { url: string }[];
}

/** The document a service serves, and answers held to it. */
export class Documented {
  private readonly ajv = new Ajv2020({ strict: false, allErrors: true });
  private readonly compiled = new Map<string, ValidateFunction>();

  private constructor(readonly document: OpenApiDocument) {
    addFormats.default(this.ajv);
    this.ajv.addSchema(document, 'document');
  }

  static async at(base: string): Promise<Documented> {
    const answer = await call(base, 'GET', '/openapi.json');
    assert.equal(answer.status, 200, answer.text);
    return new Documented(answer.body as OpenApiDocument);
  }

  /** Every operation, as method and path template. */
  operations(): { method: string; template: string; operation: DocumentedOperation }[] {
    return Object.entries(this.document.paths).flatMap(([template, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), template, operation })),
    );
  }

  /** The schema itself, where it is a reference to one of the components. */
  resolve(schema: Schema): Schema {
    const reference = schema['$ref'];
    if (typeof reference !== 'string') return schema;
    const found = this.document.components.schemas[reference.slice('#/components/schemas/'.length)];
    assert.ok(found, reference);
    return this.resolve(found);
  }

  /** The answer's status is documented for the operation and its body matches the documented schema. */
  assertAnswer(method: string, template: string, answer: Answer): void {
    const operation = this.document.paths[template]?.[method.toLowerCase()];
    assert.ok(operation, `${method} ${template} is not documented`);
    const documented = operation.responses[answer.status];
    assert.ok(documented, `${method} ${template} answered ${answer.status}, which is not documented: ${answer.text.slice(0, 300)}`);
    if (!documented.content) {
      assert.equal(answer.text, '', `${method} ${template} documents no body for ${answer.status}`);
      return;
    }
    const type = String(answer.headers['content-type']).split(';')[0] ?? '';
    assert.ok(documented.content[type], `${method} ${template} ${answer.status} is sent as ${type}`);
    const pointer = ['paths', template, method.toLowerCase(), 'responses', String(answer.status), 'content', type, 'schema'];
    const validate = this.validator(pointer);
    assert.ok(validate(answer.body), `${method} ${template} ${answer.status}: ${this.ajv.errorsText(validate.errors)}\n${answer.text}`);
  }

  private validator(pointer: string[]): ValidateFunction {
    const ref = `document#/${pointer.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`;
    const known = this.compiled.get(ref);
    if (known) return known;
    const validate = this.ajv.compile({ $ref: ref });
    this.compiled.set(ref, validate);
    return validate;
  }
}
