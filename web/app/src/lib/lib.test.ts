import { beforeEach, describe, expect, it } from 'vitest';
import { pickLanguage } from '../texts';
import { en } from '../texts/en';
import { ko } from '../texts/ko';
import { ago, between, bitrate, calendarTime, duration, percent, plain } from './format';
import { keptBroadcast, keptName, keptToken } from './storage';

describe('texts', () => {
  it('are picked by the first language that is known', () => {
    expect(pickLanguage(['fr-FR', 'ko-KR', 'en'])).toBe('ko');
    expect(pickLanguage(['en-GB', 'ko'])).toBe('en');
    expect(pickLanguage(['fr'])).toBe('en');
    expect(pickLanguage([])).toBe('en');
  });

  it('are all there in both languages', () => {
    expect(Object.keys(ko)).toEqual(Object.keys(en));
    for (const [key, text] of Object.entries(ko)) {
      const words =
        typeof text === 'function' ? (text as (...values: never[]) => string)(...([1, 1] as never[])) : text;
      expect(words.trim(), key).not.toBe('');
    }
  });
});

describe('format', () => {
  it('writes durations, rates and shares', () => {
    expect([0, 59_999, 61_000, 3_723_000].map((ms) => duration(ms))).toEqual([
      '0:00',
      '0:59',
      '1:01',
      '1:02:03',
    ]);
    expect([0, 64.4, 2_449].map(bitrate)).toEqual(['0 kbit/s', '64 kbit/s', '2.4 Mbit/s']);
    expect([0, 0.26, 12.4, null].map(percent)).toEqual(['0.0 %', '0.3 %', '12 %', en.notAvailable]);
    expect(between('2026-01-01T00:00:00Z', '2026-01-01T00:00:05Z')).toBe(5_000);
    expect(between(null, '2026-01-01T00:00:05Z')).toBeNull();
  });

  it('tells how long ago something was', () => {
    const now = Date.parse('2026-01-02T00:00:00Z');
    expect(ago('2026-01-02T00:00:00Z', now)).toBe('just now');
    expect(ago('2026-01-01T23:55:00Z', now)).toContain('5');
    // A clock that is behind the server's.
    expect(ago('2026-01-02T00:00:09Z', now)).toBe('just now');
  });
});

describe('storage', () => {
  beforeEach(() => {
    sessionStorage.clear();
    localStorage.clear();
  });

  it('keeps the stream key in the tab only', () => {
    const kept = { id: 1, streamKey: 'secret', ownerKey: 'owner', whipUrl: '/whip/1', watchUrl: '/watch/1' };
    keptBroadcast.write(kept);
    expect(keptBroadcast.read()).toEqual(kept);
    expect(localStorage).toHaveLength(0);
    expect(document.cookie).toBe('');
    keptBroadcast.clear();
    expect(keptBroadcast.read()).toBeNull();
  });

  it('takes foreign content as nothing', () => {
    sessionStorage.setItem('madang.studio', '{"id":"x"}');
    sessionStorage.setItem('madang.guest.1', 'not json');
    localStorage.setItem('madang.name', '{}');
    expect(keptBroadcast.read()).toBeNull();
    expect(keptToken.read(1)).toBeNull();
    expect(keptName.read()).toBe('');
  });
});

describe('plain', () => {
  it('takes out what turns the words after it, and leaves every letter', () => {
    expect(plain('ab\u202ecd\u202c \u2066ef\u2069')).toBe('abcd ef');
    expect(plain('שלום \u200f مرحبا 한국어 👩\u200d🔬')).toBe('שלום \u200f مرحبا 한국어 👩\u200d🔬');
  });
});

describe('calendarTime', () => {
  it('writes a time that is one, and nothing wrong of one that is none', () => {
    expect(calendarTime('2026-01-02T10:00:00Z')).toContain('2');
    expect(calendarTime('soon')).toBe('soon');
  });
});
