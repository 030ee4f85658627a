/** Our extension of WHEP that chooses layers, and the event that tells a publisher what is watched. */

import type { EncodingLayer, LayerList, LayerRequest, Obstacle, Source } from './types.js';

/** What there is, what was asked for and what is sent. */
export type Layers = LayerList;

/** Which encodings are watched: by m-line, by rid. */
export type WantedEncodings = ReadonlyMap<string, ReadonlyMap<string, boolean>>;

/** What a viewer chooses: `auto`, at most so many pixels high, or no picture. */
export type VideoChoice = 'auto' | 'audio' | number;

/** The request that brings a choice about. */
export function requestOf(choice: VideoChoice): LayerRequest {
  if (choice === 'audio') return { paused: true };
  return choice === 'auto' ? { paused: false } : { paused: false, maxHeight: choice };
}

/** The heights to choose from, the highest first: those of the camera's encodings, or else of the screen's. */
export function heightsOf(layers: Layers | null): number[] {
  const of = (source: Source): EncodingLayer[] =>
    layers?.media.find((media) => media.source === source)?.encodings ?? [];
  const heights = (encodings: readonly EncodingLayer[]): number[] =>
    encodings.map(({ width = 0, height = 0 }) => shorter(width, height)).filter((height) => height > 0);
  const known = [heights(of('camera')), heights(of('screen'))].find((list) => list.length > 0) ?? [];
  return [...new Set(known)].sort((a, b) => b - a);
}

/** Of the heights there are, the one that a choice comes to; null for `auto`, sound only, or where there are none. */
export function chosenHeight(choice: VideoChoice, available: readonly number[]): number | null {
  if (typeof choice !== 'number') return null;
  return available.find((height) => height <= choice) ?? available.at(-1) ?? null;
}

/** The side by which a picture is named, also of an upright phone: 720 of 720 x 1280. */
export function shorter(width: number, height: number): number {
  return width > 0 ? Math.min(width, height) : height;
}

/** Reads {@link Layers}; what does not look like it is left out. */
export function parseLayers(value: unknown): Layers {
  const media = entries(value, 'media').filter(
    (entry) => typeof entry.mediaId === 'string' && typeof entry.source === 'string',
  );
  return {
    media: media.map((entry) => ({
      mediaId: entry.mediaId as string,
      source: entry.source as Source,
      paused: entry.paused === true,
      wanted: entry.wanted ?? {},
      current: entry.current ?? null,
      ...(isObstacle(entry.obstacle) ? { obstacle: entry.obstacle } : {}),
      encodings: entries(entry, 'encodings').map((encoding) => ({
        ...(typeof encoding.encodingId === 'string' ? { encodingId: encoding.encodingId } : {}),
        ...(typeof encoding.width === 'number' ? { width: encoding.width } : {}),
        ...(typeof encoding.height === 'number' ? { height: encoding.height } : {}),
        active: encoding.active === true,
        bitrate: typeof encoding.bitrate === 'number' ? encoding.bitrate : 0,
      })),
    })),
  };
}

/** Whether the line carries not even the least of a picture. */
export function isLineTooSlow(layers: Layers | null): boolean {
  return hasObstacle(layers, 'line');
}

/** Whether a picture is sent in a codec that was not offered. */
export function hasForeignCodec(layers: Layers | null): boolean {
  return hasObstacle(layers, 'codec');
}

function hasObstacle(layers: Layers | null, kind: Obstacle): boolean {
  return layers?.media.some(({ paused, obstacle }) => !paused && obstacle === kind) ?? false;
}

/** Whether the publisher sends a picture of this source that can be shown, however seldom it changes. */
export function isSent(layers: Layers | null, source: Source): boolean {
  const media = layers?.media.find((entry) => entry.source === source && !entry.paused);
  return media?.obstacle !== 'codec' && (media?.encodings.some(({ active }) => active) ?? false);
}

function isObstacle(value: unknown): value is Obstacle {
  return value === 'codec' || value === 'line';
}

/** Reads the data of the event `encodings`; null if it is something else. */
export function parseWanted(data: string): WantedEncodings | null {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || !('media' in value)) return null;
  return new Map(
    entries(value, 'media').map((media) => [
      String(media.mediaId),
      new Map(entries(media, 'encodings').map((one) => [String(one.encodingId), one.wanted !== false])),
    ]),
  );
}

function entries(value: unknown, key: string): Record<string, unknown>[] {
  const list = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : null;
  const all: unknown[] = Array.isArray(list) ? list : [];
  return all.filter((entry): entry is Record<string, unknown> => typeof entry === 'object' && entry !== null);
}
