import type { Box } from '../model/geometry.js';
import { FARTHEST } from '../model/shape.js';
import type { Point } from '../types.js';

/** What part of a page is looked at: the page's point in the upper left corner, and CSS pixels for a board unit. */
export interface Camera {
  readonly x: number;
  readonly y: number;
  readonly zoom: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export const LEAST_ZOOM = 0.1;
export const MOST_ZOOM = 8;

export function onScreen({ x, y, zoom }: Camera, [px, py]: Point): Point {
  return [(px - x) * zoom, (py - y) * zoom];
}

export function onPage({ x, y, zoom }: Camera, [sx, sy]: Point): Point {
  return [sx / zoom + x, sy / zoom + y];
}

/** Nobody gets lost: there is an end to the page. */
export function within({ x, y, zoom }: Camera): Camera {
  const near = (value: number): number => Math.min(FARTHEST, Math.max(-FARTHEST, value));
  return { x: near(x), y: near(y), zoom: Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, zoom)) };
}

export function panned(camera: Camera, dx: number, dy: number): Camera {
  return within({ ...camera, x: camera.x - dx / camera.zoom, y: camera.y - dy / camera.zoom });
}

/** Zooms so that what is at a point of the screen stays there. */
export function zoomed(camera: Camera, zoom: number, [sx, sy]: Point): Camera {
  const next = Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, zoom));
  const [x, y] = onPage(camera, [sx, sy]);
  return within({ x: x - sx / next, y: y - sy / next, zoom: next });
}

/** Shows all of a part of the page, in the middle, no larger than `most`. */
export function fitted({ left, top, right, bottom }: Box, size: Size, most = 1.5): Camera {
  const [width, height] = [Math.max(1, right - left), Math.max(1, bottom - top)];
  const zoom = Math.min(
    most,
    MOST_ZOOM,
    Math.max(LEAST_ZOOM, Math.min(size.width / width, size.height / height)),
  );
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  return within({ x: x - size.width / zoom / 2, y: y - size.height / zoom / 2, zoom });
}
