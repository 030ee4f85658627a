import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { closePages, launchChromium, received } from './harness/browser';
import { Madang } from './harness/madang';
import { Pages, end, plays } from './harness/pages';

/** As `relayOnly`, and of the TURN servers that the page was told only those whose URL matches. */
const through = (url: RegExp): string => `(() => {
  const Native = window.RTCPeerConnection;
  const all = (window.__connections = []);
  window.RTCPeerConnection = class extends Native {
    constructor(config = {}) {
      const iceServers = (config.iceServers ?? [])
        .map((server) => ({ ...server, urls: [server.urls].flat().filter((one) => ${url}.test(one)) }))
        .filter((server) => server.urls.length > 0);
      super({ ...config, iceServers, iceTransportPolicy: 'relay' });
      all.push(this);
    }
  };
})();`;

/** How the browser reaches the relay of the candidate pair in use. */
function relayProtocol(page: Page): Promise<string> {
  return page.evaluate(async () => {
    const connections = (window as unknown as { __connections: RTCPeerConnection[] }).__connections;
    const connected = connections.find((connection) => connection.connectionState === 'connected');
    const report = await connected?.getStats();
    const all = [...(report?.values() ?? [])] as Record<string, string>[];
    const transport = all.find((one) => one.type === 'transport');
    const pair = all.find((one) => one.id === transport?.selectedCandidatePairId);
    return all.find((one) => one.id === pair?.localCandidateId)?.relayProtocol ?? '';
  });
}

// L11: media gets through where nothing but the relay is reachable, over every transport that the pages are told.
describe('a viewer who reaches nothing but the relay', () => {
  let folder: string;
  let madang: Madang;
  let browser: Browser;
  let pages: Pages;
  let number: number;
  let studio: Page;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'madang-relay-'));
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
        ...['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-out', cert, '-keyout', key],
      ],
      { stdio: 'ignore' },
    );
    const tls = ['--tls-cert', cert, '--tls-key', key, '--turn-tls-port', '0'];
    [madang, browser] = await Promise.all([
      Madang.start(tls),
      // Nobody has signed the certificate of this test.
      launchChromium(['--ignore-certificate-errors']),
    ]);
    pages = new Pages(browser, madang.url);
  });
  afterAll(async () => {
    await browser.close();
    expect(await madang.stop()).toBe(0);
    await rm(folder, { recursive: true, force: true });
  });
  afterEach(closePages(() => browser));

  for (const [protocol, url] of [
    ['udp', /^turn:.*transport=udp$/],
    ['tcp', /^turn:.*transport=tcp$/],
    ['tls', /^turns:.*transport=tcp$/],
  ] as const) {
    test(`over ${protocol.toUpperCase()}`, async () => {
      ({ studio, number } = await pages.goLive(`Through the relay over ${protocol}`));
      const viewer = await pages.watch(number, through(url));
      await plays(viewer, 60);
      expect((await received(viewer)).candidateType).toBe('relay');
      expect(await relayProtocol(viewer)).toBe(protocol);
      await end(studio);
    });
  }

  test('and a publisher who reaches nothing else, over TCP', async () => {
    const tcp = through(/^turn:.*transport=tcp$/);
    ({ studio, number } = await pages.goLive('Both through the relay', tcp));
    const viewer = await pages.watch(number, tcp);
    await plays(viewer, 60);
    expect((await received(viewer)).candidateType).toBe('relay');
    expect(await relayProtocol(studio)).toBe('tcp');
    await end(studio);
  });
});
