// @vitest-environment node
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compile, type JSONSchema } from 'json-schema-to-typescript';
import { format, type Options } from 'prettier';
import { expect, it } from 'vitest';

/**
 * Makes `contract.ts` of `contract.schema.json`, which a test of `crates/contract` holds to the services' code. `make
 * types` writes both.
 */

const place = join(import.meta.dirname, '..');

interface Schema {
  $defs: Record<string, unknown>;
  'x-constants': Record<string, string | number>;
}

async function read<T>(file: string): Promise<T> {
  return JSON.parse(await readFile(join(place, file), 'utf8')) as T;
}

/** The same schema as the generator wants it. */
function prepared(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item: unknown) => prepared(item));
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.fromEntries(Object.entries(value).map(([name, field]) => [name, prepared(field)]));
  const { $ref, ...rest } = fields;
  // A reference with a text beside it would be taken for a type of its own.
  if ($ref !== undefined && Object.keys(rest).length > 0) return { ...rest, allOf: [{ $ref }] };
  const { properties, required } = fields;
  if (typeof properties !== 'object' || properties === null) return fields;
  const present: unknown[] = Array.isArray(required) ? required : [];
  const optional = Object.entries(properties as Record<string, JSONSchema>).map(([name, property]) => [
    name,
    present.includes(name) ? property : neverNull(property),
  ]);
  return { ...fields, properties: Object.fromEntries(optional) as unknown };
}

/** What is not required is left out where there is nothing to say, and never `null`. */
function neverNull(property: JSONSchema): JSONSchema {
  const { type, oneOf } = property;
  if (Array.isArray(type)) {
    const types = type.filter((name) => name !== 'null');
    return { ...property, type: types.length === 1 ? types[0] : types };
  }
  const kinds = oneOf?.filter((kind) => kind.type !== 'null') ?? [];
  return kinds.length === 1 && kinds[0] !== undefined ? kinds[0] : property;
}

async function typescript(): Promise<string> {
  const { $defs, 'x-constants': constants } = await read<Schema>('contract.schema.json');
  const types = await compile({ $defs: prepared($defs) }, 'Contract', {
    additionalProperties: false,
    bannerComment: '',
    format: false,
    unreachableDefinitions: true,
  });
  const values = Object.entries(constants).map(
    ([name, value]) => `export const ${name} = ${JSON.stringify(value)};`,
  );
  const head =
    '/** Bodies of the REST and STOMP interfaces. Made from `crates/contract` by `make types`: do not edit. */';
  const style = await read<Options>('../../.prettierrc.json');
  const text = [head, ...values, tidy(types)].join('\n');
  const formatted = await format(text, { ...style, parser: 'typescript' });
  return formatted
    .replaceAll(/(?<!\*\/\n)^(?=\/\*\*|export (?:type|interface))/gm, '\n')
    .replaceAll(/\n{3,}/g, '\n\n')
    .trimStart();
}

/** Without what the generator says about itself, and with short comments on one line. */
function tidy(types: string): string {
  return types
    .replace(/export interface Contract \{[^}]*\}/, '')
    .replaceAll(/\n \*\s*\n \* This interface was referenced by .*\n \* via the .*/g, '')
    .replaceAll(/\/\*\*\n\s*\* (.*)\n\s*\*\//g, '/** $1 */');
}

it('is what the services say', async () => {
  await expect(await typescript()).toMatchFileSnapshot(join(place, 'src/contract.ts'));
}, 60_000);
