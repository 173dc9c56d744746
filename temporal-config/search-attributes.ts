import type { NativeConnection } from '@temporalio/worker';
import proto from '@temporalio/proto';
import { SEARCH_ATTRIBUTES } from '../contracts/temporal.js';
import { isRefusal, reasonOf, STATUS, statusOf, within, type Finding } from './finding.js';

const { IndexedValueType } = proto.temporal.api.enums.v1;
const TYPES = {
  Keyword: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
  Bool: IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
} as const;
const SAMPLES = { Keyword: "'none'", Bool: 'true' } as const;

type Name = keyof typeof SEARCH_ATTRIBUTES;
const NAMES = Object.keys(SEARCH_ATTRIBUTES) as Name[];

/** Each part of a cluster reads its list of them once a minute. */
const USABLE_WITHIN_MS = 75_000;

/** Registers what is missing. Two processes may do it at once: the slower one finds the attributes there, which is as well. */
export async function ensureSearchAttributes(connection: NativeConnection, namespace: string): Promise<Finding[]> {
  try {
    return await registered(connection, namespace);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return Promise.all(NAMES.map((name) => verified(connection, namespace, name, reasonOf(error))));
  }
}

async function registered(connection: NativeConnection, namespace: string): Promise<Finding[]> {
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
  const missing = NAMES.filter((name) => customAttributes[name] === undefined);
  if (missing.length > 0) await add(connection, namespace, missing);
  return NAMES.map((name) => {
    const what = `search attribute ${name}`;
    if (missing.includes(name)) return { what, state: 'created' };
    if (customAttributes[name] === TYPES[SEARCH_ATTRIBUTES[name]]) return { what, state: 'as wanted' };
    const found = IndexedValueType[customAttributes[name] ?? 0];
    return { what, state: 'differs', detail: `it is an ${found}, ${SEARCH_ATTRIBUTES[name]} is needed: purchases cannot be started` };
  });
}

async function add(connection: NativeConnection, namespace: string, names: Name[]): Promise<void> {
  const searchAttributes = Object.fromEntries(names.map((name) => [name, TYPES[SEARCH_ATTRIBUTES[name]]]));
  try {
    await connection.operatorService.addSearchAttributes({ namespace, searchAttributes });
  } catch (error) {
    if (statusOf(error) !== STATUS.alreadyExists) throw error;
  }
  const usable = await within(USABLE_WITHIN_MS, () => canBeQueried(connection, namespace, names));
  if (!usable) throw new Error(`${names.join(', ')}: not usable ${USABLE_WITHIN_MS / 1000} s after they were made`);
}

/** Where listing and adding is refused, as in Temporal Cloud, a query still tells whether they are there. */
async function verified(connection: NativeConnection, namespace: string, name: Name, refusal: string): Promise<Finding> {
  const what = `search attribute ${name}`;
  if (await canBeQueried(connection, namespace, [name])) return { what, state: 'as wanted' };
  const detail = `missing or of another type, and the server does not let us add it (${refusal}). In Temporal Cloud add it in the console or with tcld, as ${SEARCH_ATTRIBUTES[name]}`;
  return { what, state: 'by hand', detail };
}

async function canBeQueried(connection: NativeConnection, namespace: string, names: Name[]): Promise<boolean> {
  const query = names.map((name) => `${name} = ${SAMPLES[SEARCH_ATTRIBUTES[name]]}`).join(' AND ');
  try {
    await connection.workflowService.countWorkflowExecutions({ namespace, query });
    return true;
  } catch (error) {
    if (([STATUS.invalidArgument, STATUS.notFound] as (number | undefined)[]).includes(statusOf(error)) || isRefusal(error)) return false;
    throw error;
  }
}
