import { expect, test } from 'vitest';
import type { CallPerson, CallSlot } from '@madang/sdk';
import { slotOf } from './call';

const anna: CallPerson = { participant: 'par_a', name: 'Anna', sources: [{ source: 'camera', csrc: 6 }] };

function slot(mid: string, source: number | null, from?: number): CallSlot {
  const binding =
    source === null ? null : { mid, source, participant: 'par_a', ...(from === undefined ? {} : { from }) };
  return { mid, kind: 'tile', track: {} as MediaStreamTrack, binding };
}

test('a tile shows somebody once the first packet of the picture is named, and never before', () => {
  expect(slotOf([slot('0', null), slot('1', 10, 1)], anna, 'camera')).toBeNull();
  expect(slotOf([slot('0', 6), slot('1', 10, 1)], anna, 'camera')).toBeNull();
  expect(slotOf([slot('0', 6, 0), slot('1', 10, 1)], anna, 'camera')?.mid).toBe('0');
  expect(slotOf([slot('0', 6, 0)], anna, 'screen')).toBeNull();
});
