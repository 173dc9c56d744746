import assert from 'node:assert/strict';
import { Validator } from '@seriousme/openapi-schema-validator';
import { withSystem } from '../support/system.js';
import { call } from './http.js';
import { Documented } from './openapi.js';

describe('the OpenAPI documents', () => {
  const system = withSystem();
  const SERVICES = ['gateway', 'auth', 'tokens', 'analytics'] as const;

  for (const service of SERVICES) {
    it(`of ${service} is valid OpenAPI 3.1 and has a page to read it on`, async () => {
      const { document } = await Documented.at(system()[service]);
      assert.match(document.openapi, /^3\.1\./);
      const result = await new Validator().validate(structuredClone(document) as unknown as Record<string, unknown>);
      assert.ok(result.valid, JSON.stringify(result.errors, null, 1));
      const page = await call(system()[service], 'GET', '/docs/');
      assert.equal(page.status, 200);
      assert.match(page.text, /swagger-ui/);
    });
  }

  it('of the gateway has every operation of every service', async () => {
    const through = await Documented.at(system().gateway);
    for (const service of ['auth', 'tokens', 'analytics'] as const) {
      const direct = await Documented.at(system()[service]);
      for (const { method, template } of direct.operations()) {
        if (template === '/api/v1/auth/api-keys/exchange') continue;
        assert.ok(through.document.paths[template]?.[method.toLowerCase()], `${method} ${template}`);
      }
    }
  });

  it('say what every operation answers to callers it does not know and to bodies it cannot read', async () => {
    const { document } = await Documented.at(system().gateway);
    for (const [template, methods] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        const name = `${method} ${template}`;
        if (operation.security?.length) assert.ok(operation.responses['401'], `${name} has no 401`);
        if (operation.requestBody) for (const status of ['400', '413', '415']) assert.ok(operation.responses[status], `${name}: ${status}`);
        if (operation.parameters?.some(({ in: place }) => place !== 'header'))
          assert.ok(operation.responses['400'] ?? operation.responses['503'], `${name}: 400`);
        assert.ok(operation.responses['429'], `${name} has no 429`);
      }
    }
  });
});
