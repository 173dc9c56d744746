import type { DataConverter } from '@temporalio/common';
import path from 'node:path';
import { distRoot } from '../root.js';
import { createPayloadCodec, type PayloadKeys } from './payload-codec.js';

/** How clients, workers and replays read and write what workflows carry; null: without keys all of it is readable. */
export function createDataConverter(keys: PayloadKeys | null): DataConverter | undefined {
  if (!keys) return undefined;
  const payloadCodecs = [createPayloadCodec(keys)];
  if (keys.active === null) return { payloadCodecs };
  return { payloadCodecs, failureConverterPath: path.join(distRoot, 'temporal-config/failure-converter.js') };
}

/** The bundle has to convert failures as the worker around it does. */
export const workflowBundle = (dataConverter: DataConverter | undefined): { codePath: string } => ({
  codePath: path.join(distRoot, dataConverter?.failureConverterPath ? 'workflow-bundle-sealed.js' : 'workflow-bundle.js'),
});
