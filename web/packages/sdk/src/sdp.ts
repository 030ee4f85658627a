/** The few readings and edits of SDP that WHIP and WHEP need. Pure functions on text. */

import type { Source } from './types.js';

/** What `a=content:` (RFC 4796) says of an m-line. */
export type Content = 'main' | 'slides';

/** One m-line of a description. */
export interface MediaSection {
  kind: 'audio' | 'video' | 'other';
  mid: string;
  direction: 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';
  /** Port 0 in an answer: the m-line was refused. */
  rejected: boolean;
  content: string | null;
  /** First part of `a=msid`: the stream, which is the owner in an answer to a viewer. */
  streamId: string | null;
  /** Second part of `a=msid`. */
  trackId: string | null;
  /** Codec names in order of preference, upper case, without retransmission and redundancy formats. */
  codecs: string[];
}

/** Formats that repair or wrap other formats. */
const HELPER_CODECS = new Set(['RTX', 'RED', 'ULPFEC', 'FLEXFEC-03', 'CN', 'TELEPHONE-EVENT']);

/** Splits a description into its session part and its m-line sections. */
function split(sdp: string): string[] {
  return sdp.split(/(?=^m=)/m);
}

function attribute(section: string, name: string): string | null {
  return new RegExp(`^a=${name}:(.*?)\\r?$`, 'm').exec(section)?.[1]?.trim() ?? null;
}

/** The m-lines of a description in order. */
export function mediaSections(sdp: string): MediaSection[] {
  const [session = '', ...media] = split(sdp);
  return media.map((section) => {
    const [kind = '', port = ''] = section.slice(2).split(' ');
    const [streamId = null, trackId = null] = attribute(section, 'msid')?.split(/\s+/) ?? [];
    return {
      kind: kind === 'audio' || kind === 'video' ? kind : 'other',
      mid: attribute(section, 'mid') ?? '',
      direction: direction(section) ?? direction(session) ?? 'sendrecv',
      rejected: port === '0',
      content: attribute(section, 'content'),
      streamId,
      trackId,
      codecs: codecs(section),
    };
  });
}

function direction(section: string): MediaSection['direction'] | null {
  const found = /^a=(sendrecv|sendonly|recvonly|inactive)\r?$/m.exec(section)?.[1];
  return (found as MediaSection['direction'] | undefined) ?? null;
}

function codecs(section: string): string[] {
  const names = new Map<string, string>();
  for (const match of section.matchAll(/^a=rtpmap:(\d+) ([^/\s]+)/gm)) {
    names.set(match[1] ?? '', (match[2] ?? '').toUpperCase());
  }
  const formats = (/^m=\S+ \S+ \S+ (.*?)\r?$/m.exec(section)?.[1] ?? '').split(' ');
  const ordered = formats.map((format) => names.get(format) ?? '').filter((name) => name !== '');
  return [...new Set(ordered)].filter((name) => !HELPER_CODECS.has(name));
}

/**
 * Writes `a=content:` into the m-lines, by mid. Browsers refuse a local description that was edited so, which is
 * why this goes only into the text that is sent.
 */
export function withContent(sdp: string, contents: ReadonlyMap<string, Content>): string {
  return split(sdp)
    .map((section) => {
      const content = contents.get(attribute(section, 'mid') ?? '');
      if (!section.startsWith('m=') || content === undefined) return section;
      return section.replace(/^(a=mid:.*?)(\r?\n)/m, `$1$2a=content:${content}$2`);
    })
    .join('');
}

/**
 * Offers to repeat lost sound, which browsers can and do not say: at 2 % loss both ways a listener would miss one
 * packet in 25. Only for the text that is sent; the server's answer then switches it on.
 */
export function withAudioNack(sdp: string): string {
  return split(sdp)
    .map((section) => {
      if (!section.startsWith('m=audio')) return section;
      return section.replace(/^a=rtpmap:(\d+) opus\/.*?(\r?\n)/gim, (line, format: string, end: string) =>
        new RegExp(`^a=rtcp-fb:${format} nack\\r?$`, 'm').test(section)
          ? line
          : `${line}a=rtcp-fb:${format} nack${end}`,
      );
    })
    .join('');
}

/**
 * Offers receiver reference times, from which a browser that only receives learns the round trip (RFC 3611; libwebrtc's
 * name). It then asks at that pace for what was lost, and waits that long for it before the picture stands still.
 * Browsers can and do not say; this one has to go into the local description.
 */
export function withReferenceTime(sdp: string): string {
  return split(sdp)
    .map((section) =>
      section.startsWith('m=video')
        ? section.replace(/^a=rtcp-fb:(\d+) nack(\r?\n)/gm, '$&a=rtcp-fb:$1 rrtr$2')
        : section,
    )
    .join('');
}

/**
 * Where the track of each m-line that sends comes from, by mid: `a=content:slides` is a screen; otherwise the first
 * m-line of a kind is camera or microphone and the second is the screen.
 */
export function sources(sections: readonly MediaSection[]): Map<string, Source> {
  const result = new Map<string, Source>();
  const seen = { audio: 0, video: 0 };
  for (const section of sections) {
    if (section.kind === 'other') continue;
    const order = seen[section.kind]++;
    const screen = section.content === null ? order > 0 : section.content === 'slides';
    if (section.kind === 'video') result.set(section.mid, screen ? 'screen' : 'camera');
    else result.set(section.mid, screen ? 'screen_audio' : 'microphone');
  }
  return result;
}

/**
 * Tells the browser, in the answer that it applies, to start its bandwidth estimate at `kbps`: from its own default a
 * single 720p stream needs 20 s to look right.
 */
export function withStartBitrate(answer: string, kbps: number): string {
  return split(answer)
    .map((section) => {
      if (!section.startsWith('m=video')) return section;
      const hint = `x-google-start-bitrate=${kbps}`;
      let edited = section;
      for (const match of section.matchAll(/^a=rtpmap:(\d+) ([^/\s]+)\/.*?(\r?\n)/gm)) {
        const [line, format = '', name = '', end = '\r\n'] = match;
        if (HELPER_CODECS.has(name.toUpperCase())) continue;
        const fmtp = new RegExp(`^(a=fmtp:${format} .*?)(\\r?\\n)`, 'm');
        edited = fmtp.test(edited)
          ? edited.replace(fmtp, `$1;${hint}$2`)
          : edited.replace(line, `${line}a=fmtp:${format} ${hint}${end}`);
      }
      return edited;
    })
    .join('');
}

/** ICE credentials of a description or fragment. */
export function iceCredentials(sdp: string): { ufrag: string; pwd: string } | null {
  const ufrag = attribute(sdp, 'ice-ufrag');
  const pwd = attribute(sdp, 'ice-pwd');
  return ufrag === null || pwd === null ? null : { ufrag, pwd };
}

/**
 * A fragment of `application/trickle-ice-sdpfrag` (RFC 8840) for the bundled transport of `description`: credentials,
 * and `candidates` in the form `candidate:...`. All m-lines share the first one's transport.
 */
export function iceFragment(description: string, candidates: readonly string[], complete: boolean): string {
  const [session = '', first = ''] = split(description);
  const credentials = iceCredentials(first) ?? iceCredentials(session);
  const group = attribute(session, 'group');
  const lines = [
    group === null ? null : `a=group:${group}`,
    /^m=.*$/m.exec(first)?.[0]?.trim() ?? null,
    `a=mid:${attribute(first, 'mid') ?? '0'}`,
    credentials === null ? null : `a=ice-ufrag:${credentials.ufrag}`,
    credentials === null ? null : `a=ice-pwd:${credentials.pwd}`,
    ...candidates.map((candidate) => `a=${candidate}`),
    complete ? 'a=end-of-candidates' : null,
  ];
  return lines
    .filter((line) => line !== null)
    .map((line) => `${line}\r\n`)
    .join('');
}

/**
 * The answer that follows an ICE restart: `answer` with the credentials and candidates of the server's fragment.
 * Returns null if the fragment carries no credentials.
 */
export function answerAfterRestart(answer: string, fragment: string): string | null {
  const credentials = iceCredentials(fragment);
  if (credentials === null) return null;
  const candidates = [...fragment.matchAll(/^a=candidate:.*$/gm)].map((match) => match[0].trim());
  return split(answer)
    .map((section, index) => {
      let edited = section
        .replace(/^a=ice-ufrag:.*?(\r?\n)/gm, `a=ice-ufrag:${credentials.ufrag}$1`)
        .replace(/^a=ice-pwd:.*?(\r?\n)/gm, `a=ice-pwd:${credentials.pwd}$1`);
      if (index > 0 && candidates.length > 0 && /^a=candidate:/m.test(edited)) {
        edited = edited.replace(/^a=candidate:.*?\r?\n/gm, '');
        edited += candidates.map((line) => `${line}\r\n`).join('');
      }
      return edited;
    })
    .join('');
}
