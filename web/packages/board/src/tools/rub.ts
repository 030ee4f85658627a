import { draftOf } from '../model/editor.js';
import { erased, type Piece, whole } from '../model/erase.js';
import { boundsOf, grown, around, isCrossed, meets, pointsOnPage } from '../model/geometry.js';
import { isStroke, type Shape } from '../model/shape.js';
import type { Point } from '../types.js';
import type { Desk } from './desk.js';
import { draftShape } from './draw.js';
import type { Gesture, Pointer } from './gesture.js';

/** Of the partial rubber on the screen, in CSS pixels. */
const RADIUS = 10;

/** Rubs out what it touches: whole objects, or the parts of strokes that it goes over. Written when it is let go. */
export class Rub implements Gesture {
  private last: Point;
  private readonly pieces = new Map<string, readonly Piece[]>();
  private readonly radius: number;
  private readonly partial: boolean;

  constructor(
    private readonly desk: Desk,
    pointer: Pointer,
  ) {
    this.last = pointer.at;
    this.partial = desk.choice.get().eraser === 'partial';
    this.radius = this.partial ? RADIUS / desk.camera.get().zoom : pointer.reach;
    this.move(pointer);
  }

  move({ at }: Pointer): void {
    const { editor, page, measure } = this.desk;
    const way = grown(around([this.last, at]), this.radius);
    let touched = false;
    for (const shape of editor.scene.page(page.get())) {
      if (shape.locked || !meets(boundsOf(shape, measure), way)) continue;
      if (this.partial ? this.rubPart(shape, at) : this.rubWhole(shape, at)) touched = true;
    }
    this.last = at;
    this.desk.do({ rubber: { at, radius: this.radius } });
    if (touched) this.show();
  }

  up(pointer: Pointer): void {
    this.move(pointer);
    const pieces = new Map(this.pieces);
    this.cancel();
    if (pieces.size === 0) return;
    if (this.partial) this.desk.editor.split(pieces);
    else this.desk.editor.remove(this.desk.editor.scene.withGroups(pieces.keys()));
  }

  cancel(): void {
    this.pieces.clear();
    this.desk.do({ rubber: null });
    this.desk.override(new Map());
  }

  private rubWhole(shape: Shape, at: Point): boolean {
    if (this.pieces.has(shape.id)) return false;
    if (!isCrossed(shape, this.last, at, this.radius, this.desk.measure)) return false;
    // One of a group goes with the group.
    for (const id of this.desk.editor.scene.withGroups([shape.id])) this.pieces.set(id, []);
    return true;
  }

  private rubPart(shape: Shape, at: Point): boolean {
    if (!isStroke(shape)) return false;
    const before = this.pieces.get(shape.id) ?? [whole(pointsOnPage(shape))];
    const rubber = { from: this.last, to: at, radius: this.radius + shape.width / 4 };
    const after = before.flatMap((piece) => erased(piece, rubber));
    if (after.length === before.length && after.every((piece, index) => piece === before[index]))
      return false;
    this.pieces.set(shape.id, after);
    return true;
  }

  private show(): void {
    const { scene } = this.desk.editor;
    const overrides = new Map<string, readonly Shape[]>();
    for (const [id, pieces] of this.pieces) {
      const shape = scene.get(id);
      if (shape === undefined) continue;
      const known = this.desk.overrides.get(id);
      const shown = pieces.map((piece, index) => {
        const { page, order } = shape;
        return { ...draftShape(`${id} ${index}`, page, draftOf(shape, piece)), order };
      });
      overrides.set(id, known?.length === shown.length && shown.length === 0 ? known : shown);
    }
    this.desk.override(overrides);
  }
}
