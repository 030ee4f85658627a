import { networkInterfaces } from 'node:os';

import puppeteer, { type Browser, type Page } from 'puppeteer-core';

import { watchConnections } from './browser';

/**
 * An address of this machine that is not the loopback: Firefox pairs no candidate with 127.0.0.1. Traffic to it stays
 * on the machine.
 */
export function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const own = all.find(({ family, internal }) => family === 'IPv4' && !internal);
  if (own === undefined) throw new Error('Firefox needs an IPv4 address other than the loopback');
  return own.address;
}

/** Firefox with an artificial camera and microphone, which it gives without asking. The microphone hears `pitch`, Hz. */
export async function launchFirefox(pitch = 440): Promise<Browser> {
  return puppeteer.launch({
    browser: 'firefox',
    executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
    extraPrefsFirefox: {
      'media.navigator.streams.fake': true,
      'media.navigator.audio.fake_frequency': pitch,
      'media.navigator.permission.disabled': true,
      'media.autoplay.default': 0,
      // No names on the local network: nobody there answers for them.
      'media.peerconnection.ice.obfuscate_host_addresses': false,
      'intl.accept_languages': 'en-US',
    },
  });
}

/** A page whose peer connections are kept for statistics. */
export async function openFirefoxPage(browser: Browser, url: string, init = watchConnections): Promise<Page> {
  const page = await browser.newPage();
  page.setDefaultTimeout(30_000);
  page.on('pageerror', (error) => console.error(`page error in Firefox: ${String(error)}`));
  await page.evaluateOnNewDocument(init);
  await page.goto(url);
  return page;
}
