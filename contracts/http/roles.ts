import { z } from './common.js';

export const orgRole = z.enum(['OWNER', 'MEMBER']);
