import { expect, test } from 'vitest';
import { type CallPerson, type CallSlot, MAX_WANTS, type Person } from '@madang/sdk';
import { othersOf, slotOf, wantsOf } from './call';

const anna: CallPerson = { participant: 'par_a', name: 'Anna', sources: [{ source: 'camera', csrc: 6 }] };

function slot(mid: string, source: number | null, from?: number): CallSlot {
  const binding =
    source === null ? null : { mid, source, participant: 'par_a', ...(from === undefined ? {} : { from }) };
  const [track, receiver] = [{} as MediaStreamTrack, {} as RTCRtpReceiver];
  return { mid, kind: 'tile', track, receiver, binding };
}

test('a tile shows somebody once the first packet of the picture is named, and never before', () => {
  expect(slotOf([slot('0', null), slot('1', 10, 1)], anna, 'camera')).toBeNull();
  expect(slotOf([slot('0', 6), slot('1', 10, 1)], anna, 'camera')).toBeNull();
  expect(slotOf([slot('0', 6, 0), slot('1', 10, 1)], anna, 'camera')?.mid).toBe('0');
  expect(slotOf([slot('0', 6, 0)], anna, 'screen')).toBeNull();
});

function person(order: number, ...sources: Person['sources']): Person {
  return { participant: `par_${order}`, name: '', order, quality: 'good', rights: [], sources };
}

test('the others are in the order in which they came', () => {
  const people = [person(3), person(10), person(1), person(2)];
  const others = othersOf({ epoch: 1, seq: 0, locked: false, people }, 'par_2');
  expect(others.map(({ order }) => order)).toEqual([1, 3, 10]);
});

test('no more cameras are wanted than can be asked for, those of who came first', () => {
  const people = Array.from({ length: MAX_WANTS + 1 }, (_, index) =>
    person(
      index,
      { source: 'microphone', csrc: 2 * index, state: 'on' },
      { source: 'camera', csrc: 2 * index + 1, state: 'on' },
    ),
  );
  const wanted = wantsOf(people).map(({ source }) => source);
  expect(wanted).toEqual(people.slice(0, MAX_WANTS).map(({ order }) => 2 * order + 1));
});
