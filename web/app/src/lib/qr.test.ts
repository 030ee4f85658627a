import { expect, it } from 'vitest';
import { qrCode } from './qr';

/** FNV-1a of the rows. What the Python library `qrcode` 8 draws for these texts with the same mask has the same. */
const DRAWN: readonly (readonly [text: string, hash: number])[] = [
  ['A', 543886525],
  ['http://127.0.0.1:8080/watch/7', 4019124531],
  ['https://192.168.0.12:8443/watch/12', 2825161990],
  ['https://live.example.org/watch/123456789012345', 1233533623],
  ['한국어 방송', 1553410859],
  ['x'.repeat(60), 4204214007],
  ['y'.repeat(100), 3322968919],
  ['z'.repeat(130), 3578432803],
  ['q'.repeat(160), 3996134982],
  ['w'.repeat(190), 1525461547],
  ['u'.repeat(213), 3759693818],
];

function hashOf(text: string): number {
  const rows = qrCode(text)?.map((row) => row.map((dark) => (dark ? '1' : '0')).join('')) ?? [];
  let hash = 0x811c9dc5;
  for (const square of rows.join('\n')) hash = Math.imul(hash ^ square.charCodeAt(0), 0x01000193) >>> 0;
  return hash;
}

it.each(DRAWN)('draws %s as others do', (text, hash) => {
  expect(hashOf(text)).toBe(hash);
});

it('draws nothing that does not fit', () => {
  expect(qrCode('u'.repeat(214))).toBeNull();
  // Bytes count, not characters.
  expect(qrCode('방'.repeat(72))).toBeNull();
});
