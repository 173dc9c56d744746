import { nothingSent, type ServiceName, type ServiceResolver } from './services.js';

export type ServiceFetch = (path: string, init: RequestInit) => Promise<Response>;

/** `fetch` from whichever instance of a service takes it; from another one when the first has refused the connection. */
export function createServiceFetch(services: ServiceResolver, service: ServiceName): ServiceFetch {
  return async (path, init) => {
    const tried: URL[] = [];
    let fault: unknown = new Error(`No instance of the service ${service} is known`);
    for (;;) {
      const instance = services.resolve(service, tried);
      if (!instance) throw fault;
      try {
        const response = await fetch(instance.href.replace(/\/$/, '') + path, init);
        services.report(service, instance, 'answered');
        return response;
      } catch (error) {
        fault = error;
        const refused = nothingSent(error);
        services.report(service, instance, refused ? 'refused' : 'broken');
        if (!refused) throw error;
        tried.push(instance);
      }
    }
  };
}
