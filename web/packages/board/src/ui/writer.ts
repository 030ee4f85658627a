import * as Y from 'yjs';
import type { Shape } from '../model/shape.js';
import { FONT, layoutText, LINE_HEIGHT, NOTE_PADDING } from '../model/text.js';
import { inkOn, lineColor, type Theme } from '../render/palette.js';
import { onScreen } from '../tools/camera.js';
import type { Desk } from '../tools/desk.js';

/**
 * The field in which a text or note is written, over the place where it stands. Each key is in the document at once, and
 * what others write in the same text is in the field. While an input method composes a sign nothing is put into the field.
 */
export class Writer {
  readonly field = document.createElement('textarea');
  private text: Y.Text | null = null;
  private id: string | null = null;
  private isComposing = false;
  private joins = false;
  private theme: Theme = 'light';

  constructor(
    private readonly desk: Desk,
    label: string,
  ) {
    const { field } = this;
    field.className = 'board-field';
    field.setAttribute('aria-label', label);
    field.hidden = true;
    field.spellcheck = true;
    field.addEventListener('input', () => this.take());
    field.addEventListener('compositionstart', () => (this.isComposing = true));
    field.addEventListener('compositionend', () => {
      this.isComposing = false;
      this.take();
      this.fill();
    });
    field.addEventListener('keydown', (event) => {
      const ends = event.key === 'Escape' || (event.key === 'Enter' && (event.ctrlKey || event.metaKey));
      if (!ends || event.isComposing) return;
      event.preventDefault();
      event.stopPropagation();
      desk.writing.set(null);
    });
    field.addEventListener('blur', () => {
      // Another window in front does not end it.
      if (document.hasFocus()) desk.writing.set(null);
    });
  }

  /** Begins, goes on or ends, as the desk says. */
  update(theme: Theme): void {
    this.theme = theme;
    const id = this.desk.writing.get();
    if (id !== this.id) {
      this.end();
      if (id !== null) this.begin(id);
    }
    this.place();
  }

  close(): void {
    this.end();
    this.field.remove();
  }

  private begin(id: string): void {
    const object = this.desk.editor.doc.getMap('objects').get(id);
    const text = object instanceof Y.Map ? (object as Y.Map<unknown>).get('text') : undefined;
    if (!(text instanceof Y.Text) || !this.desk.may.get()) {
      this.desk.writing.set(null);
      return;
    }
    this.id = id;
    this.text = text;
    this.joins = false;
    text.observe(this.fill);
    this.field.value = text.toJSON();
    this.field.hidden = false;
    this.place();
    this.field.focus({ preventScroll: true });
    this.field.select();
  }

  private end(): void {
    const { id } = this;
    this.id = null;
    this.text?.unobserve(this.fill);
    this.text = null;
    if (this.field.hidden) return;
    const hadFocus = this.field === document.activeElement;
    this.field.hidden = true;
    if (hadFocus) this.field.parentElement?.focus({ preventScroll: true });
    this.desk.override(new Map());
    const shape = id === null ? undefined : this.desk.editor.scene.get(id);
    // A text of nothing would be on the board and never be seen.
    if (shape?.type === 'text' && shape.text.trim() === '' && this.desk.may.get()) {
      this.desk.editor.remove([shape.id]);
    }
  }

  private take(): void {
    if (this.id === null) return;
    this.desk.editor.write(this.id, this.field.value, this.joins);
    // What is written at one time is undone at one time.
    this.joins = true;
    this.place();
  }

  /** What others wrote comes into the field, and the caret stays where it was in the text. */
  private readonly fill = (event?: Y.YTextEvent): void => {
    const { field, text } = this;
    if (text === null || this.isComposing) return;
    const value = text.toJSON();
    if (field.value === value) return;
    let [start, end] = [field.selectionStart, field.selectionEnd];
    let at = 0;
    for (const { retain = 0, insert, delete: removed = 0 } of event?.delta ?? []) {
      at += retain;
      const added = typeof insert === 'string' ? insert.length : 0;
      const move = (caret: number): number =>
        caret <= at ? caret : Math.max(at, caret - removed) + (caret > at ? added : 0);
      [start, end] = [move(start), move(end)];
      at += added;
    }
    field.value = value;
    field.setSelectionRange(start, end);
    this.place();
  };

  private place(): void {
    const shape = this.id === null ? undefined : this.desk.editor.scene.get(this.id);
    if (shape === undefined) return;
    this.desk.override(new Map([[shape.id, shape.type === 'note' ? [{ ...shape, text: '' }] : []]]));
    const { style } = this.field;
    const camera = this.desk.camera.get();
    const layout = layoutText(shape, this.desk.measure);
    const [x, y] = onScreen(camera, [shape.t[0], shape.t[1]]);
    const { zoom } = camera;
    style.font = `${layout.fontSize}px/${LINE_HEIGHT} ${FONT}`;
    style.color = colorOf(shape, this.theme);
    style.transformOrigin = '0 0';
    if (shape.type === 'note') {
      const [w, h] = [shape.w * shape.t[2], shape.h * shape.t[3]];
      style.width = `${w - 2 * NOTE_PADDING}px`;
      style.height = `${layout.height + 2}px`;
      style.textAlign = 'center';
      style.whiteSpace = 'pre-wrap';
      const [left, top] = [-w / 2 + NOTE_PADDING, -Math.min(h / 2, layout.height / 2)];
      style.transform = `translate(${x}px, ${y}px) rotate(${shape.t[4]}rad) scale(${zoom}) translate(${left}px, ${top}px)`;
    } else {
      style.width = `${layout.width + layout.fontSize}px`;
      style.height = `${layout.height + 2}px`;
      style.textAlign = 'start';
      style.whiteSpace = shape.w > 0 ? 'pre-wrap' : 'pre';
      style.transform = `translate(${x}px, ${y}px) rotate(${shape.t[4]}rad) scale(${zoom})`;
    }
  }
}

function colorOf(shape: Shape, theme: Theme): string {
  return shape.type === 'note' ? inkOn(shape.fill ?? 'yellow', theme) : lineColor(shape.color, theme);
}
