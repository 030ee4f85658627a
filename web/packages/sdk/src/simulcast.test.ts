import { describe, expect, it } from 'vitest';
import {
  adjusted,
  affordable,
  cameraEncodings,
  codecOrder,
  type Encoding,
  screenEncodings,
  sendEncodings,
  silenced,
} from './simulcast.js';

const heights = (own: number, encodings: readonly Encoding[]): Record<string, number> =>
  Object.fromEntries(
    encodings.map(({ rid = '', scaleResolutionDownBy = 1 }) => [rid, own / scaleResolutionDownBy]),
  );

describe('encodings of a camera', () => {
  it('follow its height, the lowest first', () => {
    expect(heights(720, cameraEncodings(720, 3))).toEqual({ q: 240, h: 480, f: 720 });
    expect(heights(1080, cameraEncodings(1080, 3))).toEqual({ q: 240, h: 480, f: 1080 });
    expect(heights(480, cameraEncodings(480, 3))).toEqual({ q: 240, f: 480 });
    expect(heights(240, cameraEncodings(240, 3))).toEqual({ f: 240 });
    expect(cameraEncodings(null, 3).map(({ rid }) => rid)).toEqual(['q', 'h', 'f']);
  });

  it('are fewer on weak machines, and none is larger than the picture', () => {
    expect(affordable({ cores: 1, phone: false, firefox: false })).toBe(1);
    expect(affordable({ cores: 4, phone: true, firefox: false })).toBe(2);
    expect(affordable({ cores: 2, phone: false, firefox: false })).toBe(3);
    for (let limit = 1; limit <= 3; limit += 1) {
      for (let own = 90; own <= 2160; own += 30) {
        const encodings = cameraEncodings(own, limit);
        expect(encodings.length).toBeLessThanOrEqual(limit);
        expect(encodings.at(-1)).toMatchObject({ rid: 'f', scaleResolutionDownBy: 1 });
        expect(encodings.every(({ scaleResolutionDownBy = 0 }) => scaleResolutionDownBy >= 1)).toBe(true);
      }
    }
  });

  it('carry no rid where there is only one', () => {
    expect(sendEncodings(cameraEncodings(240, 3), 'L1T1')).toEqual([
      { active: true, maxBitrate: 500_000, scaleResolutionDownBy: 1, scalabilityMode: 'L1T1' },
    ]);
    expect(sendEncodings(screenEncodings(3), 'L1T3').map(({ rid }) => rid)).toEqual(['h', 'f']);
  });
});

describe('adjusted', () => {
  const planned = cameraEncodings(720, 3);
  const on = (encodings: readonly Encoding[]): string =>
    encodings.map(({ rid = '-', active }) => (active ? rid : '')).join('');

  it('switches off what nobody watches, but not everything', () => {
    const wanted = (...rids: string[]) => new Map(['q', 'h', 'f'].map((rid) => [rid, rids.includes(rid)]));
    expect(on(adjusted(planned, planned, new Map()))).toBe('qhf');
    expect(on(adjusted(planned, planned, wanted('f')))).toBe('f');
    expect(on(adjusted(planned, planned, wanted('q', 'f')))).toBe('qf');
    expect(on(adjusted(planned, planned, wanted()))).toBe('q');
    const off = adjusted(planned, planned, wanted());
    expect(on(adjusted(off, planned, wanted('q', 'h', 'f')))).toBe('qhf');
  });

  it('sends nothing without a track, and goes on with the next one', () => {
    const off = silenced(planned);
    expect(on(off)).toBe('');
    expect(on(adjusted(off, planned, new Map()))).toBe('qhf');
  });

  it('follows another camera within the encodings that were negotiated', () => {
    const small = adjusted(planned, cameraEncodings(480, 3), new Map());
    expect(on(small)).toBe('qf');
    expect(small.find(({ rid }) => rid === 'q')?.scaleResolutionDownBy).toBe(2);
    const tiny = adjusted(planned, cameraEncodings(180, 3), new Map([['f', false]]));
    expect(on(tiny)).toBe('f');
    const single = [{ active: true, scaleResolutionDownBy: 1 }];
    expect(adjusted(single, planned, new Map([['', false]]))).toMatchObject([
      { active: true, scaleResolutionDownBy: 1, maxBitrate: 2_500_000 },
    ]);
  });
});

it('Firefox sends several encodings of VP8 only', () => {
  const firefox = { cores: 8, phone: false, firefox: true };
  expect(codecOrder(3, firefox)[0]).toBe('VP8');
  expect(codecOrder(1, firefox)[0]).toBe('H264');
  expect(codecOrder(3, { ...firefox, firefox: false })[0]).toBe('H264');
});
