import { readFileSync } from 'node:fs';
import { isMap, isScalar, parseDocument, type Document, type Node } from 'yaml';

/**
 * A flat YAML map with the names of the variables, as a Kubernetes config map's `data` is one too. Lists and maps are written as
 * such where a variable holds a comma-separated list or JSON. Unset: null, or left away.
 *
 * @throws Error saying why the file is none
 */
export function readConfigFile(file: string): Map<string, string> {
  const document = parseDocument(readFileSync(file, 'utf8'));
  const [fault] = document.errors;
  if (fault) throw new Error(fault.message.split('\n')[0]);
  const { contents } = document;
  if (contents === null) return new Map();
  if (!isMap(contents)) throw new Error('is not a map of names to values');
  const values = new Map<string, string>();
  for (const { key, value } of contents.items) {
    const text = textOf(value as Node | null, document);
    if (text !== undefined) values.set(String(key), text);
  }
  return values;
}

/** Scalars as they are written: 64 digits are a key and not a number, and a date is no time stamp. */
function textOf(node: Node | null, document: Document): string | undefined {
  if (node === null || (isScalar(node) && node.value === null)) return undefined;
  if (isScalar(node)) return node.source ?? String(node.value);
  const value = node.toJS(document) as unknown;
  return Array.isArray(value) && value.every((item) => typeof item !== 'object') ? value.join(',') : JSON.stringify(value);
}
