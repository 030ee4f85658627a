import { hasText } from '../model/shape.js';
import type { Desk } from './desk.js';
import { Figure, Laser, Stroke } from './draw.js';
import type { Gesture, Pointer } from './gesture.js';
import { Marquee, Move } from './move.js';
import { Rub } from './rub.js';

export const NOTE_SIZE = 200;

/** What pressing on the board begins with the tool at hand; null if that is all. `hand` is the surface's. */
export function begin(desk: Desk, pointer: Pointer): Gesture | null {
  const tool = desk.tool.get();
  if (desk.writing.get() !== null) desk.writing.set(null);
  if (tool === 'laser') return new Laser(desk, pointer);
  if (tool === 'select') return beginSelect(desk, pointer);
  if (!(tool === 'eraser' ? desk.may : desk.mayAdd).get()) return null;
  switch (tool) {
    case 'pen':
    case 'marker':
      desk.select([]);
      return new Stroke(desk, tool, pointer);
    case 'line':
    case 'arrow':
    case 'rectangle':
    case 'ellipse':
      desk.select([]);
      return new Figure(desk, tool, pointer);
    case 'eraser':
      desk.select([]);
      return new Rub(desk, pointer);
    case 'text':
    case 'note':
      return new Click(() => place(desk, tool, pointer.at));
    case 'hand':
      return null;
  }
}

function beginSelect(desk: Desk, pointer: Pointer): Gesture {
  const hit = desk.at(pointer.at, pointer.reach);
  if (hit === null || (hit.locked && !desk.selection.get().has(hit.id) && !pointer.alt)) {
    // What is locked is selected by a click, to unlock it, and not in the way of a marquee.
    if (hit !== null && !pointer.shift) return new LockedMarquee(desk, pointer, hit.id);
    return new Marquee(desk, pointer);
  }
  const before = desk.selection.get();
  const isSelected = before.has(hit.id);
  if (pointer.shift) desk.select(isSelected ? before : [...before, hit.id]);
  else if (!isSelected) desk.select([hit.id]);
  const click = (): void => {
    const group = desk.editor.scene.withGroups([hit.id]);
    if (pointer.shift && isSelected) desk.select([...before].filter((id) => !group.has(id)));
    else if (!pointer.shift) desk.select([hit.id]);
  };
  if (!desk.may.get()) return new Click(click);
  return new Move(desk, pointer, click);
}

/** Only a click counts. */
class Click implements Gesture {
  constructor(private readonly act: () => void) {}

  move(): void {
    // Nothing is dragged.
  }

  up(): void {
    this.act();
  }

  cancel(): void {
    // Nothing was done.
  }
}

class LockedMarquee extends Marquee {
  private moved = false;

  constructor(
    private readonly of: Desk,
    private readonly start: Pointer,
    private readonly id: string,
  ) {
    super(of, start);
  }

  override move(pointer: Pointer): void {
    const [dx, dy] = [pointer.screen[0] - this.start.screen[0], pointer.screen[1] - this.start.screen[1]];
    if (!this.moved && Math.hypot(dx, dy) < 4) return;
    this.moved = true;
    super.move(pointer);
  }

  override up(): void {
    super.up();
    if (!this.moved) this.of.select([this.id]);
  }
}

/** A new text or note at a point, to be written at once; a text that is there is written on. */
export function place(desk: Desk, tool: 'text' | 'note', at: readonly [number, number]): void {
  const { color, fontSize, noteColor } = desk.choice.get();
  const hit = desk.at(at, 0);
  let id: string;
  if (tool === 'text' && hit !== null && hasText(hit) && !hit.locked) {
    id = hit.id;
  } else if (tool === 'text') {
    const t = [at[0], at[1] - fontSize * 0.65, 1, 1, 0] as const;
    id = desk.editor.add(desk.page.get(), { type: 'text', t, color, fontSize, text: '' });
  } else {
    const size = { w: NOTE_SIZE, h: NOTE_SIZE };
    const t = [at[0], at[1], 1, 1, 0] as const;
    id = desk.editor.add(desk.page.get(), { type: 'note', t, ...size, fill: noteColor, fontSize, text: '' });
  }
  desk.tool.set('select');
  desk.select([id]);
  desk.writing.set(id);
}
