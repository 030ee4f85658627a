import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { openPage } from './harness/browser';
import { Lab } from './harness/lab';
import { eventually } from './harness/process';

/** What a page of these tests keeps. */
interface Kept {
  connection: RTCPeerConnection;
  heard: string[];
}

/** A connection with the servers that the product names, TURN or only STUN; its description with all candidates. */
async function begin(page: Page, turn: boolean, offer?: RTCSessionDescriptionInit) {
  return page.evaluate(
    async ({ turn, offer }) => {
      // A creator is told the servers with the broadcast.
      const created = await fetch('/broadcasts', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name: 'Behind walls', description: '' }),
      });
      const { ice_servers: all } = (await created.json()) as { ice_servers: RTCIceServer[] };
      const iceServers = all.filter(
        (server) => turn || [server.urls].flat().every((url) => url.startsWith('stun:')),
      );
      const connection = new RTCPeerConnection({ iceServers });
      const kept: Kept = { connection, heard: [] };
      (window as unknown as { __kept: Kept }).__kept = kept;
      const listen = (channel: RTCDataChannel) => {
        channel.onmessage = ({ data }) => kept.heard.push(String(data));
        channel.onopen = () => channel.send(`hello from ${offer ? 'the viewer' : 'the streamer'}`);
      };
      if (offer) {
        connection.ondatachannel = ({ channel }) => listen(channel);
        await connection.setRemoteDescription(offer);
        await connection.setLocalDescription(await connection.createAnswer());
      } else {
        const media = await navigator.mediaDevices.getUserMedia({ video: true });
        for (const track of media.getTracks()) connection.addTrack(track, media);
        listen(connection.createDataChannel('chat'));
        await connection.setLocalDescription(await connection.createOffer());
      }
      await new Promise<void>((done) => {
        const check = () => connection.iceGatheringState === 'complete' && done();
        connection.onicegatheringstatechange = check;
        check();
      });
      const local = connection.localDescription;
      if (local === null) throw new Error('there is no description');
      return { type: local.type, sdp: local.sdp };
    },
    { turn, offer },
  );
}

/** Both pages connected, or given up. */
async function meet(streamer: Page, viewer: Page, turn: boolean): Promise<string> {
  const offer = await begin(streamer, turn);
  const answer = await begin(viewer, turn, offer);
  await streamer.evaluate(
    (answer) => (window as unknown as { __kept: Kept }).__kept.connection.setRemoteDescription(answer),
    answer,
  );
  const state = await streamer.waitForFunction(() => {
    const { connectionState } = (window as unknown as { __kept: Kept }).__kept.connection;
    return ['connected', 'failed'].includes(connectionState) && connectionState;
  });
  return String(await state.jsonValue());
}

// L11: the two are behind symmetric NATs, so no address that either learns is of use to the other.
describe('a streamer and a viewer behind symmetric NATs', () => {
  let lab: Lab;
  let streamer: Page;
  let viewer: Page;

  beforeAll(async () => {
    lab = await Lab.nats();
    if (lab.other === undefined) throw new Error('the laboratory has two clients');
    streamer = await openPage(lab.browser, lab.url);
    viewer = await openPage(lab.other, lab.url);
    for (const page of [streamer, viewer]) page.setDefaultTimeout(90_000);
  });
  afterAll(async () => {
    await lab.close();
  });

  test('do not meet without a relay', async () => {
    expect(await meet(streamer, viewer, false)).toBe('failed');
  }, 120_000);

  test('see and hear each other through it', async () => {
    expect(await meet(streamer, viewer, true)).toBe('connected');
    for (const [page, words] of [
      [streamer, 'hello from the viewer'],
      [viewer, 'hello from the streamer'],
    ] as const) {
      await page.waitForFunction(
        (words) => (window as unknown as { __kept: Kept }).__kept.heard.includes(words),
        words,
      );
    }
    const seen = () =>
      viewer.evaluate(async () => {
        const report = await (window as unknown as { __kept: Kept }).__kept.connection.getStats();
        const all = [...report.values()] as Record<string, unknown>[];
        const frames = all.find((one) => one.type === 'inbound-rtp')?.framesDecoded;
        const pairId = all.find((one) => one.type === 'transport')?.selectedCandidatePairId;
        const localId = all.find((one) => one.id === pairId)?.localCandidateId;
        return Number(frames) > 30 && all.find((one) => one.id === localId)?.candidateType;
      });
    expect(await eventually('pictures', seen)).toBe('relay');
  }, 120_000);
});
