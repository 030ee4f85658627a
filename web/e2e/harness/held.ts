import type { Page } from 'playwright-core';

import { calmCamera } from './browser';

/** As {@link calmCamera}, and counts what a page holds of the browser, for {@link held}. */
export const countHeld = `${calmCamera} (() => {
  const held = (window.__held = { tracks: [], sockets: [], contexts: [], listeners: 0, intervals: new Set() });
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await open(wanted);
    held.tracks.push(...stream.getTracks());
    return stream;
  };
  for (const [name, list] of [['WebSocket', held.sockets], ['AudioContext', held.contexts]]) {
    const Native = window[name];
    window[name] = class extends Native {
      constructor(...args) { super(...args); list.push(this); }
    };
  }
  for (const target of [window, document, navigator.mediaDevices]) {
    const keys = new Set();
    const ids = new WeakMap();
    let last = 0;
    const key = (type, listener) => {
      if (listener === null || listener === undefined) return null;
      if (!ids.has(listener)) ids.set(listener, ++last);
      return type + ids.get(listener);
    };
    const add = target.addEventListener.bind(target);
    const remove = target.removeEventListener.bind(target);
    target.addEventListener = (type, listener, options) => {
      const own = key(type, listener);
      if (own !== null && !keys.has(own)) { keys.add(own); held.listeners += 1; }
      add(type, listener, options);
    };
    target.removeEventListener = (type, listener, options) => {
      if (keys.delete(key(type, listener))) held.listeners -= 1;
      remove(type, listener, options);
    };
  }
  const every = window.setInterval.bind(window);
  const clear = window.clearInterval.bind(window);
  window.setInterval = (...args) => { const id = every(...args); held.intervals.add(id); return id; };
  window.clearInterval = (id) => { held.intervals.delete(id); clear(id); };
})();`;

/** What a page holds. */
export interface Held {
  /** Of devices, live. */
  tracks: number;
  sockets: number;
  contexts: number;
  connections: number;
  /** On the window, the document and the devices. */
  listeners: number;
  intervals: number;
}

/** What the page holds now. */
export function held(page: Page): Promise<Held> {
  return page.evaluate(() => {
    const { __held: now, __connections: connections } = window as unknown as {
      __held: {
        tracks: MediaStreamTrack[];
        sockets: WebSocket[];
        contexts: AudioContext[];
        listeners: number;
        intervals: Set<number>;
      };
      __connections: RTCPeerConnection[];
    };
    return {
      tracks: now.tracks.filter(({ readyState }) => readyState === 'live').length,
      sockets: now.sockets.filter(({ readyState }) => readyState < 2).length,
      contexts: now.contexts.filter(({ state }) => state !== 'closed').length,
      connections: connections.filter(({ connectionState }) => connectionState !== 'closed').length,
      listeners: now.listeners,
      intervals: now.intervals.size,
    };
  });
}
