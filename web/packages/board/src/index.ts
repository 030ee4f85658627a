/** The whiteboard of Madang. */

export { Editor, type Side, type Step, type Style } from './model/editor.js';
export { boardSheet, readSheet, type Sheet } from './model/json.js';
export type { Page } from './model/pages.js';
export { Scene } from './model/scene.js';
export type { Shape, ShapeType } from './model/shape.js';
export type { Draft } from './model/write.js';
export { drawBoard, type Env, measureWith, type View } from './render/draw.js';
export { drawPicture, toSvg } from './render/export.js';
export { COLORS, type ColorName, PALETTE, PAPER, type Theme } from './render/palette.js';
export type { Choice, Desk, Tool } from './tools/desk.js';
export { type Action, actionOf, KEYS } from './ui/keys.js';
export { colorOf, type Seen } from './ui/presence.js';
export { type Notice, Surface, type SurfaceOptions, type SurfaceWords } from './ui/surface.js';
export type * from './types.js';
export { connectBoard } from './sync/connect.js';
export type { WireOptions as BoardOptions } from './sync/wire.js';
