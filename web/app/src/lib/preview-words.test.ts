import { expect, it } from 'vitest';
import type { CaptureFailure } from '@madang/sdk';
import { noDeviceWords, previewWords } from './preview-words';

const OFF = { on: true, opening: false, failure: null };

it('says that a person is asked, or that the camera starts, and never both', () => {
  const opening = { ...OFF, opening: true };
  expect(previewWords(opening, OFF, false)).toMatchObject({ kind: 'asking', busy: true });
  expect(previewWords(opening, OFF, true)).toMatchObject({ kind: 'starting', busy: true });
  expect(noDeviceWords(opening, 'none')).not.toBe('none');
});

it('names what is the matter with a camera that is wanted', () => {
  const failures: CaptureFailure[] = [
    'denied',
    'cancelled',
    'insecure',
    'missing',
    'busy',
    'unsupported',
    'unknown',
  ];
  const off = previewWords({ ...OFF, on: false }, OFF, true).title;
  for (const failure of failures) {
    const { title, kind } = previewWords({ ...OFF, failure }, OFF, true);
    expect(kind).toBe(failure);
    expect(title).not.toBe(off);
  }
  // One that is turned off is off, whatever it was before.
  expect(previewWords({ on: false, opening: false, failure: 'denied' }, OFF, true).title).toBe(off);
  const camera = { ...OFF, failure: 'denied' } as const;
  const one = previewWords(camera, OFF, true).title;
  expect(previewWords(camera, { failure: 'denied' }, true).title).not.toBe(one);
});

it('says that there is no device only where there is none', () => {
  expect(noDeviceWords(OFF, 'none')).toBe('none');
  expect(noDeviceWords({ opening: false, failure: 'missing' }, 'none')).toBe('none');
  for (const failure of ['denied', 'insecure', 'unsupported'] as const)
    expect(noDeviceWords({ opening: false, failure }, 'none')).not.toBe('none');
});
