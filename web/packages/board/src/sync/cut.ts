import * as encoding from 'lib0/encoding';
import * as Y from 'yjs';

/** Operations of one client, from one number on. */
export interface Range {
  client: number;
  clock: number;
  length: number;
}

/**
 * The same update in parts of about `most` bytes, in an order in which they may be applied; what is deleted comes last.
 * One operation is never cut, so a part may be larger. The operations of the update are of one client.
 */
export function cut(update: Uint8Array, most: number): Uint8Array[] {
  if (update.length <= most) return [update];
  const { structs, ds } = Y.decodeUpdate(update);
  const parts: Uint8Array[] = [];
  let group: typeof structs = [];
  let bytes = 0;
  for (const struct of structs) {
    const size = written([struct]).length;
    if (group.length > 0 && bytes + size > most) {
      parts.push(written(group));
      [group, bytes] = [[], 0];
    }
    group.push(struct);
    bytes += size;
  }
  if (group.length > 0) parts.push(written(group));
  const deleted = [...ds.clients].flatMap(([client, items]) =>
    items.map(({ clock, len }) => ({ client, clock, length: len })),
  );
  if (deleted.length > 0) parts.push(deletion(deleted));
  return parts;
}

function written(structs: ReturnType<typeof Y.decodeUpdate>['structs']): Uint8Array {
  const [first] = structs;
  const encoder = new Y.UpdateEncoderV1();
  encoding.writeVarUint(encoder.restEncoder, first === undefined ? 0 : 1);
  if (first !== undefined) {
    encoding.writeVarUint(encoder.restEncoder, structs.length);
    encoder.writeClient(first.id.client);
    encoding.writeVarUint(encoder.restEncoder, first.id.clock);
    for (const struct of structs) struct.write(encoder, 0);
  }
  encoding.writeVarUint(encoder.restEncoder, 0);
  return encoder.toUint8Array();
}

/** An update that deletes and does nothing else. */
export function deletion(ranges: readonly Range[]): Uint8Array {
  const byClient = new Map<number, Range[]>();
  for (const range of ranges) byClient.set(range.client, [...(byClient.get(range.client) ?? []), range]);
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, 0);
  encoding.writeVarUint(encoder, byClient.size);
  for (const [client, own] of byClient) {
    encoding.writeVarUint(encoder, client);
    encoding.writeVarUint(encoder, own.length);
    for (const { clock, length } of own) {
      encoding.writeVarUint(encoder, clock);
      encoding.writeVarUint(encoder, length);
    }
  }
  return encoding.toUint8Array(encoder);
}

/** What of an update deletes things that are there without it: with `client` up to the operation `has`. */
export function deletesOf(update: Uint8Array, client: number, has: number): Uint8Array | null {
  const ranges: Range[] = [];
  for (const [of, items] of Y.decodeUpdate(update).ds.clients) {
    for (const { clock, len } of items) {
      const length = of === client ? Math.min(len, has - clock) : len;
      if (length > 0) ranges.push({ client: of, clock, length });
    }
  }
  return ranges.length === 0 ? null : deletion(ranges);
}
