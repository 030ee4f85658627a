import { type ReactNode, useRef } from 'react';
import { useStoreValue } from '@madang/react';
import type { Surface, Tool } from '@madang/board';
import { t } from '../../texts';
import {
  ArrowIcon,
  EllipseIcon,
  EraserIcon,
  ImageIcon,
  LaserIcon,
  LineIcon,
  MarkerIcon,
  MoveIcon,
  NoteIcon,
  PenIcon,
  RectangleIcon,
  RedoIcon,
  SelectIcon,
  TextIcon,
  UndoIcon,
} from './icons';

export const TOOLS: readonly { tool: Tool; label: string; key: string; Icon: () => ReactNode }[] = [
  { tool: 'select', label: t.boardSelect, key: '1', Icon: SelectIcon },
  { tool: 'hand', label: t.boardHand, key: '2', Icon: MoveIcon },
  { tool: 'pen', label: t.boardPen, key: '3', Icon: PenIcon },
  { tool: 'marker', label: t.boardMarker, key: '4', Icon: MarkerIcon },
  { tool: 'eraser', label: t.boardEraser, key: 'E', Icon: EraserIcon },
  { tool: 'line', label: t.boardLine, key: '5', Icon: LineIcon },
  { tool: 'arrow', label: t.boardArrow, key: '6', Icon: ArrowIcon },
  { tool: 'rectangle', label: t.boardRectangle, key: '7', Icon: RectangleIcon },
  { tool: 'ellipse', label: t.boardEllipse, key: '8', Icon: EllipseIcon },
  { tool: 'text', label: t.boardText, key: '9', Icon: TextIcon },
  { tool: 'note', label: t.boardNote, key: '0', Icon: NoteIcon },
  { tool: 'laser', label: t.boardLaser, key: 'L', Icon: LaserIcon },
];

/** Who may not draw looks, selects and points. */
const FOR_ALL: readonly Tool[] = ['select', 'hand', 'laser'];

/** A button of the board. */
export function BoardButton(props: {
  label: string;
  keys?: string;
  Icon: () => ReactNode;
  onClick: () => void;
  pressed?: boolean;
  disabled?: boolean;
  testId?: string;
}): ReactNode {
  const { label, keys, Icon, onClick, pressed, disabled, testId } = props;
  return (
    <button
      type="button"
      className="board-button"
      aria-label={label}
      title={keys === undefined ? label : `${label} (${keys})`}
      aria-pressed={pressed}
      disabled={disabled}
      onClick={onClick}
      data-testid={testId}
    >
      <Icon />
    </button>
  );
}

export function ToolBar({ surface }: { surface: Surface }): ReactNode {
  const desk = useStoreValue(surface.desk);
  const tool = useStoreValue(desk.tool);
  const { mayDraw } = useStoreValue(surface.board.state);
  const history = useStoreValue(desk.history);
  const file = useRef<HTMLInputElement>(null);
  const tools = mayDraw ? TOOLS : TOOLS.filter((entry) => FOR_ALL.includes(entry.tool));
  return (
    <div className="board-bar" role="toolbar" aria-label={t.boardTools} data-testid="board-tools">
      {tools.map(({ tool: name, label, key, Icon }) => (
        <BoardButton
          key={name}
          label={label}
          keys={key}
          Icon={Icon}
          pressed={tool === name}
          onClick={() => {
            surface.act(`tool ${name}`);
            surface.focus();
          }}
          testId={`board-tool-${name}`}
        />
      ))}
      {mayDraw ? (
        <>
          <BoardButton
            label={t.boardImage}
            Icon={ImageIcon}
            onClick={() => file.current?.click()}
            testId="board-image"
          />
          <input
            ref={file}
            type="file"
            accept="image/png,image/jpeg,image/webp,image/svg+xml,image/gif"
            multiple
            hidden
            aria-label={t.boardImage}
            onChange={({ target }) => {
              void surface.addImages([...(target.files ?? [])]);
              target.value = '';
              surface.focus();
            }}
            data-testid="board-image-file"
          />
          <span className="board-gap" aria-hidden="true" />
          <BoardButton
            label={t.boardUndo}
            keys="Ctrl Z"
            Icon={UndoIcon}
            disabled={!history.undo}
            onClick={() => surface.act('undo')}
            testId="board-undo"
          />
          <BoardButton
            label={t.boardRedo}
            keys="Ctrl Shift Z"
            Icon={RedoIcon}
            disabled={!history.redo}
            onClick={() => surface.act('redo')}
            testId="board-redo"
          />
        </>
      ) : null}
    </div>
  );
}
