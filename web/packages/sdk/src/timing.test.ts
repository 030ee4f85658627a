import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Backoff, sleep } from './backoff.js';
import { RenewedIceServers } from './ice-servers.js';
import { decibelLevel } from './level-meter.js';
import { signalingUrl } from './signaling.js';

describe('Backoff', () => {
  it('doubles its bound up to the cap, and takes any time below it', () => {
    const latest = new Backoff(500, 4_000, () => 1);
    expect([1, 2, 3, 4, 5].map(() => latest.next())).toEqual([500, 1_000, 2_000, 4_000, 4_000]);
    latest.reset();
    expect(latest.next()).toBe(500);
    expect(new Backoff(400, 4_000, () => 0).next()).toBe(0);
    expect(new Backoff(400, 4_000, () => 0.5).next()).toBe(200);
  });
});

describe('with a clock in hand', () => {
  beforeEach(() => void vi.useFakeTimers({ now: 0 }));
  afterEach(() => void vi.useRealTimers());

  it('sleep ends at its time or with its signal', async () => {
    const done = vi.fn();
    void sleep(1_000).then(done);
    await vi.advanceTimersByTimeAsync(999);
    expect(done).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(done).toHaveBeenCalledOnce();
    const control = new AbortController();
    const aborted = sleep(1_000, control.signal);
    control.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    await expect(sleep(1, control.signal)).rejects.toThrow('enough');
  });

  it('ICE servers are asked for once, then renewed before their end while someone listens', async () => {
    let asked = 0;
    const source = new RenewedIceServers(() => {
      asked += 1;
      return Promise.resolve({ ice_servers: [{ urls: [`turn:${asked}`] }], ttl: 1_000 });
    });
    expect(await Promise.all([source.get(), source.get()])).toEqual([
      [{ urls: ['turn:1'] }],
      [{ urls: ['turn:1'] }],
    ]);
    const renewed = vi.fn();
    const stop = source.onRenewed(renewed);
    await vi.advanceTimersByTimeAsync(799_000);
    expect(renewed).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(31_000);
    expect(renewed).toHaveBeenCalledExactlyOnceWith([{ urls: ['turn:2'] }]);
    stop();
    await vi.advanceTimersByTimeAsync(10_000_000);
    expect(asked).toBe(2);
  });

  it('ICE servers that cannot be had are no servers', async () => {
    const source = new RenewedIceServers(() => Promise.reject(new Error('down')));
    expect(await source.get()).toEqual([]);
  });
});

describe('signalingUrl', () => {
  it('follows the page unless it is configured', () => {
    expect(signalingUrl('', { protocol: 'https:', host: 'a:8443' })).toBe('wss://a:8443/streaming');
    expect(signalingUrl('', { protocol: 'http:', host: 'a' })).toBe('ws://a/streaming');
    expect(signalingUrl('wss://b/streaming', { protocol: 'http:', host: 'a' })).toBe('wss://b/streaming');
  });
});

describe('decibelLevel', () => {
  it('goes from silence to full scale', () => {
    expect(decibelLevel(new Float32Array(8))).toBe(0);
    expect(decibelLevel(new Float32Array(8).fill(1))).toBe(1);
    expect(decibelLevel(new Float32Array(8).fill(0.0316))).toBeCloseTo(0.5, 2);
    expect(decibelLevel(new Float32Array(0))).toBe(0);
  });
});
