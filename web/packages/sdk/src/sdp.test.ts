import { describe, expect, it } from 'vitest';
import {
  answerAfterRestart,
  iceFragment,
  type MediaSection,
  mediaSections,
  sources,
  withAudioNack,
  withContent,
  withReferenceTime,
  withStartBitrate,
} from './sdp.js';

const lines = (...text: string[]): string => text.map((line) => `${line}\r\n`).join('');

const SESSION = ['v=0', 'o=- 1 2 IN IP4 127.0.0.1', 's=-', 't=0 0', 'a=group:BUNDLE 0 1'];
const AUDIO = [
  'm=audio 9 UDP/TLS/RTP/SAVPF 111 63',
  'c=IN IP4 0.0.0.0',
  'a=ice-ufrag:abcd',
  'a=ice-pwd:0123456789012345678901',
  'a=mid:0',
  'a=sendonly',
  'a=msid:par_1 trk_1',
  'a=rtpmap:111 opus/48000/2',
  'a=rtpmap:63 red/48000/2',
];
const VIDEO = [
  'm=video 9 UDP/TLS/RTP/SAVPF 102 103 96',
  'a=mid:1',
  'a=content:slides',
  'a=inactive',
  'a=rtpmap:102 H264/90000',
  'a=fmtp:102 profile-level-id=42e01f',
  'a=rtpmap:103 rtx/90000',
  'a=fmtp:103 apt=102',
  'a=rtpmap:96 VP8/90000',
];
const SDP = lines(...SESSION, ...AUDIO, ...VIDEO);

describe('withAudioNack', () => {
  it('offers to repeat Opus, once, and nothing else', () => {
    const offered = withAudioNack(SDP);
    expect(offered).toContain('a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 nack\r\n');
    expect(offered.match(/rtcp-fb/g)).toHaveLength(1);
    expect(withAudioNack(offered)).toBe(offered);
  });
});

describe('withReferenceTime', () => {
  it('offers it for every video codec that is repeated, and for no sound', () => {
    const offer = (audio: string[], video: string[]) =>
      lines(...SESSION, ...AUDIO, 'a=rtcp-fb:111 nack', ...audio, ...VIDEO, ...video);
    const feedback = ['a=rtcp-fb:96 nack', 'a=rtcp-fb:96 nack pli', 'a=rtcp-fb:98 nack'];
    expect(withReferenceTime(offer([], feedback))).toBe(
      offer(
        [],
        [
          'a=rtcp-fb:96 nack',
          'a=rtcp-fb:96 rrtr',
          'a=rtcp-fb:96 nack pli',
          'a=rtcp-fb:98 nack',
          'a=rtcp-fb:98 rrtr',
        ],
      ),
    );
  });
});

describe('mediaSections', () => {
  it('reads kind, mid, direction, owner and codecs', () => {
    const [audio, video] = mediaSections(SDP);
    expect(audio).toEqual({
      kind: 'audio',
      mid: '0',
      direction: 'sendonly',
      rejected: false,
      content: null,
      streamId: 'par_1',
      trackId: 'trk_1',
      codecs: ['OPUS'],
    });
    expect(video).toMatchObject({
      direction: 'inactive',
      content: 'slides',
      codecs: ['H264', 'VP8'],
      streamId: null,
    });
  });

  it('reads lines that end in LF only, and a refused m-line', () => {
    const [audio] = mediaSections(SDP.replaceAll('\r\n', '\n').replace('m=audio 9', 'm=audio 0'));
    expect(audio).toMatchObject({ mid: '0', rejected: true, streamId: 'par_1' });
    expect(mediaSections('')).toEqual([]);
  });
});

const PLAIN: MediaSection = {
  kind: 'audio',
  mid: '',
  direction: 'sendonly',
  rejected: false,
  content: null,
  streamId: null,
  trackId: null,
  codecs: [],
};

describe('sources', () => {
  it('goes by order where content says nothing', () => {
    const section = (kind: 'audio' | 'video', mid: string, content: string | null = null) => ({
      ...PLAIN,
      kind,
      mid,
      content,
    });
    const plain = [
      section('audio', '0'),
      section('video', '1'),
      section('video', '2'),
      section('audio', '3'),
    ];
    expect([...sources(plain)]).toEqual([
      ['0', 'microphone'],
      ['1', 'camera'],
      ['2', 'screen'],
      ['3', 'screen_audio'],
    ]);
    const screenOnly = [section('video', '1', 'slides'), section('video', '2', 'main')];
    expect([...sources(screenOnly).values()]).toEqual(['screen', 'camera']);
  });
});

describe('withContent', () => {
  it('writes content into the named m-lines only', () => {
    const edited = withContent(SDP, new Map([['0', 'main']]));
    expect(edited).toContain('a=mid:0\r\na=content:main\r\n');
    expect(edited.replace('a=content:main\r\n', '')).toBe(SDP);
  });
});

describe('withStartBitrate', () => {
  it('adds the hint to video codecs and leaves retransmission and audio alone', () => {
    const edited = withStartBitrate(SDP, 1200);
    expect(edited).toContain('a=fmtp:102 profile-level-id=42e01f;x-google-start-bitrate=1200\r\n');
    expect(edited).toContain('a=rtpmap:96 VP8/90000\r\na=fmtp:96 x-google-start-bitrate=1200\r\n');
    expect(edited).toContain('a=fmtp:103 apt=102\r\n');
    expect(edited.split('m=video')[0]).toBe(SDP.split('m=video')[0]);
  });
});

describe('iceFragment', () => {
  it('carries group, credentials and candidates of the first m-line', () => {
    expect(iceFragment(SDP, ['candidate:1 1 udp 1 127.0.0.1 5 typ host'], true)).toBe(
      lines(
        'a=group:BUNDLE 0 1',
        'm=audio 9 UDP/TLS/RTP/SAVPF 111 63',
        'a=mid:0',
        'a=ice-ufrag:abcd',
        'a=ice-pwd:0123456789012345678901',
        'a=candidate:1 1 udp 1 127.0.0.1 5 typ host',
        'a=end-of-candidates',
      ),
    );
  });
});

describe('answerAfterRestart', () => {
  it('replaces credentials and candidates', () => {
    const answer = SDP.replace('a=mid:0', 'a=candidate:1 1 udp 1 10.0.0.1 5 typ host\r\na=mid:0');
    const fragment = lines(
      'a=ice-ufrag:wxyz',
      'a=ice-pwd:9999999999999999999999',
      'a=candidate:2 1 udp 1 10.0.0.2 6 typ host',
    );
    const restarted = answerAfterRestart(answer, fragment);
    expect(restarted).toContain('a=ice-ufrag:wxyz\r\na=ice-pwd:9999999999999999999999\r\n');
    expect(restarted).toContain('a=candidate:2 1 udp 1 10.0.0.2 6 typ host\r\n');
    expect(restarted).not.toContain('10.0.0.1');
    expect(mediaSections(restarted ?? '')).toEqual(mediaSections(SDP));
  });

  it('refuses a fragment without credentials', () => {
    expect(answerAfterRestart(SDP, 'a=end-of-candidates\r\n')).toBeNull();
  });
});
