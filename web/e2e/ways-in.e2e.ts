import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { launchChromium, openPage } from './harness/browser';
import { Madang } from './harness/madang';
import { Pages } from './harness/pages';

// Plain WebRTC calls in a page, without our SDK: what any client may do.

let madang: Madang;
let browser: Browser;
let pages: Pages;

beforeAll(async () => {
  madang = await Madang.start();
  browser = await launchChromium();
  pages = new Pages(browser, madang.url);
});

afterAll(async () => {
  await browser.close();
  expect(await madang.stop()).toBe(0);
});

/** What {@link connect} does. */
interface Way {
  url: string;
  bearer?: string;
  /** Codec to publish; absent to watch. */
  codec?: string;
  /** Simulcast encodings to publish. */
  encodings?: RTCRtpEncodingParameters[];
  /** Label of a data channel to open. */
  label?: string;
  /** Leaves only candidates with this word in the answer. */
  only?: string;
}

/** What is read of an entry of getStats. */
interface Entry {
  id: string;
  type: string;
  protocol?: string;
  rid?: string;
  framesSent?: number;
  selectedCandidatePairId?: string;
  remoteCandidateId?: string;
}

interface Peer {
  connection: RTCPeerConnection;
  channel?: RTCDataChannel;
  messages: string[];
  video?: HTMLVideoElement;
}

/** Negotiates in the page and waits until it is connected; the peer is then `window.peer`. */
async function connect(page: Page, way: Way): Promise<void> {
  await page.evaluate(async (way: Way) => {
    const connection = new RTCPeerConnection();
    const peer: Peer = { connection, messages: [] };
    (window as unknown as { peer: Peer }).peer = peer;
    if (way.codec !== undefined) {
      const constraints = { video: { width: 1280, height: 720 } };
      const [track] = (await navigator.mediaDevices.getUserMedia(constraints)).getVideoTracks();
      if (track === undefined) throw new Error('no camera');
      const sendEncodings = way.encodings ?? [{}];
      const transceiver = connection.addTransceiver(track, { direction: 'sendonly', sendEncodings });
      const { codecs } = RTCRtpSender.getCapabilities('video') ?? { codecs: [] };
      const wanted = `video/${way.codec}`.toLowerCase();
      transceiver.setCodecPreferences([
        ...codecs.filter((codec) => codec.mimeType.toLowerCase() === wanted),
        ...codecs.filter((codec) => codec.mimeType.toLowerCase() === 'video/rtx'),
      ]);
    } else {
      const { receiver } = connection.addTransceiver('video', { direction: 'recvonly' });
      const video = document.createElement('video');
      video.muted = true;
      video.srcObject = new MediaStream([receiver.track]);
      document.body.append(video);
      void video.play();
      peer.video = video;
    }
    if (way.label !== undefined) {
      peer.channel = connection.createDataChannel(way.label);
      peer.channel.onmessage = (event) => peer.messages.push(String(event.data));
    }
    await connection.setLocalDescription();
    const headers: Record<string, string> = { 'content-type': 'application/sdp' };
    if (way.bearer !== undefined) headers.authorization = `Bearer ${way.bearer}`;
    const body = connection.localDescription?.sdp ?? '';
    let response = await fetch(way.url, { method: 'POST', headers, body });
    // The publisher knows that it is connected a moment before everybody else does.
    while (response.status === 409) {
      await new Promise((again) => setTimeout(again, 100));
      response = await fetch(way.url, { method: 'POST', headers, body });
    }
    const answer = await response.text();
    if (response.status !== 201) throw new Error(`${response.status}: ${answer}`);
    const only = way.only;
    const kept = (line: string) =>
      only === undefined || !line.startsWith('a=candidate') || line.includes(` ${only} `);
    const sdp = answer.split('\r\n').filter(kept).join('\r\n');
    await connection.setRemoteDescription({ type: 'answer', sdp });
  }, way);
  await page.waitForFunction(() => {
    const { peer } = window as unknown as { peer: Peer };
    const open = peer.channel === undefined || peer.channel.readyState === 'open';
    return peer.connection.connectionState === 'connected' && open;
  });
}

const open = () => openPage(browser, madang.url);

const frames = (page: Page) =>
  page.evaluate(() => {
    const { peer } = window as unknown as { peer: Peer };
    return peer.video?.getVideoPlaybackQuality().totalVideoFrames ?? 0;
  });

/** Waits until the picture moves on. */
async function plays(page: Page): Promise<void> {
  const before = await frames(page);
  await page.waitForFunction((before) => {
    const { peer } = window as unknown as { peer: Peer };
    return (peer.video?.getVideoPlaybackQuality().totalVideoFrames ?? 0) > before + 15;
  }, before);
}

/** The protocol of the path that is in use. */
const protocol = (page: Page) =>
  page.evaluate(async () => {
    const { peer } = window as unknown as { peer: Peer };
    const stats = [...(await peer.connection.getStats()).values()] as Entry[];
    const transport = stats.find((entry) => entry.type === 'transport');
    const pair = stats.find((entry) => entry.id === transport?.selectedCandidatePairId);
    return stats.find((entry) => entry.id === pair?.remoteCandidateId)?.protocol;
  });

/** The rids that the page really sends. */
async function sendsAll(page: Page, rids: (string | undefined)[]): Promise<void> {
  await page.waitForFunction(async (rids) => {
    const { peer } = window as unknown as { peer: Peer };
    const stats = [...(await peer.connection.getStats()).values()] as Entry[];
    const flows = (entry: Entry) => entry.type === 'outbound-rtp' && (entry.framesSent ?? 0) > 0;
    return rids.every((rid) => stats.some((entry) => flows(entry) && entry.rid === rid));
  }, rids);
}

const say = (page: Page, text: string) =>
  page.evaluate((text) => (window as unknown as { peer: Peer }).peer.channel?.send(text), text);

const heard = (page: Page, text: string) =>
  page.waitForFunction((text) => (window as unknown as { peer: Peer }).peer.messages.includes(text), text);

test('media over TCP where UDP is blocked, and data channels over it', async () => {
  const created = await pages.create('Over TCP');
  const publisher = await open();
  const [whip, whep] = [created.whip_url, `${madang.url}/whep/${created.id}`];
  await connect(publisher, {
    url: whip,
    bearer: created.stream_key,
    codec: 'VP8',
    label: 'notes',
    only: 'tcp',
  });
  expect(await protocol(publisher)).toBe('tcp');
  const [overTcp, overUdp] = [await open(), await open()];
  await connect(overTcp, { url: whep, label: 'notes', only: 'tcp' });
  await connect(overUdp, { url: whep, label: 'notes' });
  await plays(overTcp);
  await plays(overUdp);
  expect(await protocol(overTcp)).toBe('tcp');
  expect(await protocol(overUdp)).toBe('udp');
  const long = 'x'.repeat(16_000);
  for (const text of ['one', long]) {
    await say(publisher, text);
    await heard(overTcp, text);
    await heard(overUdp, text);
  }
  for (const viewer of [overTcp, overUdp]) {
    const text = `from ${await protocol(viewer)}`;
    await say(viewer, text);
    await heard(publisher, text);
  }
  await Promise.all([publisher, overTcp, overUdp].map(async (page) => page.context().close()));
});

test.each([
  ['VP8', undefined],
  ['H264', undefined],
  ['VP9', 'L1T3'],
  ['AV1', 'L1T3'],
])('three encodings of %s by rid arrive and are watched', async (codec, scalabilityMode) => {
  const encodings = [
    { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
    { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 400_000 },
    { rid: 'f', scaleResolutionDownBy: 1, maxBitrate: 1_000_000 },
  ].map((encoding) => (scalabilityMode === undefined ? encoding : { ...encoding, scalabilityMode }));
  const created = await pages.create(`Simulcast ${codec}`);
  const publisher = await open();
  await connect(publisher, { url: created.whip_url, bearer: created.stream_key, codec, encodings });
  await sendsAll(publisher, ['q', 'h', 'f']);
  const viewer = await open();
  await connect(viewer, { url: `${madang.url}/whep/${created.id}` });
  await plays(viewer);
  await Promise.all([publisher, viewer].map(async (page) => page.context().close()));
});
