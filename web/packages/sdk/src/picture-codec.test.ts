import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { CallSources } from './call-sources.js';
import { changeTo, codecNow, type CodecParameters } from './picture-codec.js';

const VP8 = { mimeType: 'video/VP8', clockRate: 90_000, payloadType: 96 };
const H264 = { mimeType: 'video/H264', clockRate: 90_000, payloadType: 102 };
const RTX = { mimeType: 'video/rtx', clockRate: 90_000, payloadType: 97 };
const MODES = { VP8: 'L1T3', H264: 'L1T1' };

it('changes to what was agreed to, and leaves what is so already', () => {
  const agreed: CodecParameters = { codecs: [VP8, RTX, H264], encodings: [{}, {}] };
  expect(codecNow(agreed)).toBe(VP8);
  expect(changeTo('VP8', agreed, MODES)).toBeNull();
  expect(changeTo('H264', agreed, MODES)).toEqual({ codec: H264, scalabilityMode: 'L1T1' });
  const changed = { ...agreed, encodings: [{ codec: H264 }] };
  expect(changeTo('H264', changed, MODES)).toBeNull();
  expect(changeTo('VP8', changed, MODES)).toEqual({ codec: VP8, scalabilityMode: 'L1T3' });
  expect(changeTo('H264', { codecs: [VP8], encodings: [{}] }, MODES)).toBeNull();
  expect(changeTo('H264', { encodings: [{}] }, MODES)).toBeNull();
  // The first of the answer is what is sent where nobody says: H.264 alone was agreed to.
  expect(changeTo('H264', { codecs: [H264], encodings: [{}] }, MODES)).toBeNull();
});

interface Parameters {
  codecs: (typeof VP8)[];
  encodings: { active: boolean; codec?: RTCRtpCodec; scalabilityMode?: string }[];
}

/** A sender of a browser that takes settings of codecs, ignores them, or refuses them so many times. */
class FakeSender {
  set = 0;
  private parameters: Parameters = {
    codecs: [VP8, H264],
    encodings: [{ active: true, scalabilityMode: 'L1T3' }],
  };

  constructor(
    private readonly kind: 'takes' | 'ignores',
    private refusals = 0,
  ) {}

  get codec(): string | undefined {
    return codecNow(this.parameters)?.mimeType;
  }

  readonly getParameters = (): Parameters => structuredClone(this.parameters);
  readonly setParameters = (next: Parameters): Promise<void> => {
    this.set += 1;
    if (this.refusals > 0) {
      this.refusals -= 1;
      return Promise.reject(new Error('not now'));
    }
    const encodings = next.encodings.map(({ codec, ...rest }) =>
      this.kind === 'takes' && codec !== undefined ? { ...rest, codec } : rest,
    );
    this.parameters = { ...structuredClone(next), encodings: structuredClone(encodings) };
    return Promise.resolve();
  };
}

beforeEach(() => {
  vi.stubGlobal('navigator', { userAgent: 'Chrome', hardwareConcurrency: 8 });
  vi.stubGlobal('RTCRtpSender', { getCapabilities: () => undefined });
});
afterEach(() => vi.unstubAllGlobals());

function sourcesOf(sender: FakeSender): CallSources {
  const pc = { connectionState: 'connected', addTransceiver: () => ({ mid: '1', sender }) };
  return new CallSources(pc as unknown as RTCPeerConnection, ['camera'], new Map());
}

it('follows what the server says, there and back, and asks no more than once for it', async () => {
  const sender = new FakeSender('takes');
  const sources = sourcesOf(sender);
  await sources.sendIn('VP8');
  const before = sender.set;
  await sources.sendIn('H264');
  expect([sender.codec, sender.set]).toEqual(['video/H264', before + 1]);
  await sources.adjust();
  expect(sender.set).toBe(before + 1);
  await Promise.all([sources.sendIn('VP8'), sources.sendIn('H264'), sources.sendIn('VP8')]);
  expect(sender.codec).toBe('video/VP8');
});

it('a browser that cannot change it goes on as it was, and is not asked for ever', async () => {
  const sender = new FakeSender('ignores');
  const sources = sourcesOf(sender);
  await sources.sendIn('H264');
  const asked = sender.set;
  expect([sender.codec, asked <= 5]).toEqual(['video/VP8', true]);
  await sources.adjust();
  await sources.sendIn('H264');
  expect(sender.set).toBe(asked);
});

it('what was refused once is tried again', async () => {
  const sender = new FakeSender('takes', 2);
  await sourcesOf(sender).sendIn('H264');
  expect(sender.codec).toBe('video/H264');
});
