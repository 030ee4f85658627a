import { expect, it } from 'vitest';
import { deviceNews, type Listed, type Used } from './device-news';

const headset: Listed = { deviceId: 'h', kind: 'audioinput', label: 'Headset' };
const built: Listed = { deviceId: 'b', kind: 'audioinput', label: 'Built-in' };
const standard: Listed = { deviceId: 'default', kind: 'audioinput', label: 'Default - Headset' };
const out: Listed = { deviceId: 'h', kind: 'audiooutput', label: 'Headset' };
const none = { microphone: null, camera: null, speaker: null };
const uses = (microphone: Used | null, speaker: Used | null = null) => ({ ...none, microphone, speaker });

it('tells of the one that is used and gone, whether it was chosen or the default one', () => {
  const lost = { kind: 'microphone', what: 'lost', deviceId: 'h', name: 'Headset' };
  const before = [standard, headset, built];
  expect(deviceNews(before, [built], uses({ deviceId: 'h', label: 'Headset' }))).toEqual([lost]);
  expect(deviceNews(before, [built], uses({ deviceId: null, label: 'Default - Headset' }))).toEqual([lost]);
  expect(deviceNews(before, [built], uses({ deviceId: 'b', label: 'Built-in' }))).toEqual([]);
  expect(deviceNews(before, [built], none)).toEqual([]);
});

it('tells a microphone from the loudspeaker of the same headset', () => {
  const used = uses({ deviceId: 'h', label: 'Headset' }, { deviceId: 'h', label: 'Headset' });
  expect(deviceNews([headset, out, built], [built, out], used).map(({ kind }) => kind)).toEqual([
    'microphone',
  ]);
  expect(deviceNews([headset, out, built], [built], used).map(({ kind }) => kind)).toEqual([
    'microphone',
    'speaker',
  ]);
});

it('offers what has come, and nothing when the names are told for the first time', () => {
  const came = { kind: 'microphone', what: 'came', deviceId: 'h', name: 'Headset' };
  expect(deviceNews([built], [standard, headset, built], none)).toEqual([came]);
  expect(deviceNews([], [headset, built], none)).toEqual([]);
  expect(deviceNews([{ ...built, deviceId: '', label: '' }], [headset, built], none)).toEqual([]);
  expect(deviceNews([built, headset], [headset, built], none)).toEqual([]);
});
