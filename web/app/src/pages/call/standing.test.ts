import { describe, expect, it } from 'vitest';
import { type Facts, standing, SIGNALING_GRACE_MS } from './standing';

const WELL: Facts = {
  call: 'connected',
  failure: null,
  signaling: 'connected',
  online: true,
  signalingAwayMs: 0,
};
const kind = (facts: Partial<Facts>) => standing({ ...WELL, ...facts })?.kind ?? null;

describe('the banner', () => {
  it('says nothing while all is well, and nothing of a moment', () => {
    expect(kind({})).toBeNull();
    expect(kind({ signaling: 'lost', signalingAwayMs: SIGNALING_GRACE_MS - 1 })).toBeNull();
  });

  it('says what is away and what goes on', () => {
    expect(kind({ signaling: 'lost', signalingAwayMs: 5_000 })).toBe('signaling-away');
    expect(kind({ call: 'reconnecting' })).toBe('media-away');
    expect(kind({ call: 'reconnecting', signaling: 'lost' })).toBe('all-away');
    expect(kind({ call: 'reconnecting', signaling: 'lost', online: false })).toBe('offline');
    expect(kind({ call: 'connecting', signaling: 'connecting' })).toBe('joining');
  });

  it('never says offline while media flows, whatever the device says', () => {
    expect(kind({ online: false })).toBeNull();
  });

  it('is no second voice beside a page that says why it is over', () => {
    expect(kind({ call: 'failed', failure: 'removed', signaling: 'closed' })).toBeNull();
    expect(kind({ call: 'closed', signaling: 'closed' })).toBeNull();
  });

  it('names what the person can change', () => {
    const blocked = standing({ ...WELL, call: 'connecting', failure: 'media' });
    expect(blocked?.hint).toContain('UDP');
    expect(standing({ ...WELL, call: 'connecting', failure: 'full' })?.hint).toBeNull();
  });
});
