import { startStubs } from '../api/stubs/index.js';
import { serverPart, type Compose } from './service.js';

export const composeStubs: Compose = async (resources) => serverPart('provider stubs', await startStubs(resources), resources);
