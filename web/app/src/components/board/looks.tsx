import type { ReactNode } from 'react';
import { useStoreValue } from '@madang/react';
import { type ColorName, COLORS, type Shape, type Style, type Surface, type Tool } from '@madang/board';
import { t } from '../../texts';
import { Menu, type MenuItem } from '../menu';
import { AlignIcon, CopyIcon, DashIcon, FillIcon, GroupIcon, LayersIcon, LockIcon, TrashIcon } from './icons';
import { BoardButton } from './tools';

/** What can be chosen for what is drawn with a tool, or is selected. */
interface Offers {
  color: boolean;
  fill: boolean;
  width: boolean;
  dashed: boolean;
  fontSize: boolean;
  eraser: boolean;
}

const COLOR_NAMES: Readonly<Record<ColorName, string>> = {
  ink: t.boardColorInk,
  gray: t.boardColorGray,
  red: t.boardColorRed,
  orange: t.boardColorOrange,
  yellow: t.boardColorYellow,
  green: t.boardColorGreen,
  teal: t.boardColorTeal,
  blue: t.boardColorBlue,
  violet: t.boardColorViolet,
  pink: t.boardColorPink,
};

const LINES: readonly string[] = ['line', 'arrow', 'rectangle', 'ellipse'];

function offersOf(tool: Tool, selected: readonly Shape[]): Offers {
  const types = tool === 'select' ? selected.map(({ type }) => type as string) : [tool as string];
  const some = (names: readonly string[]): boolean => types.some((type) => names.includes(type));
  return {
    color: some(['pen', 'marker', ...LINES, 'text', 'note']),
    fill: some(['rectangle', 'ellipse']),
    width: some(['pen', 'marker', ...LINES]),
    dashed: some(LINES),
    fontSize: some(['text', 'note']),
    eraser: tool === 'eraser',
  };
}

const WIDTHS: readonly [number, string][] = [
  [2, t.boardThin],
  [4, t.boardMedium],
  [8, t.boardThick],
];
const MARKER_WIDTHS: readonly [number, string][] = [
  [10, t.boardThin],
  [16, t.boardMedium],
  [28, t.boardThick],
];
const SIZES: readonly [number, string][] = [
  [16, t.boardSmallText],
  [24, t.boardMediumText],
  [40, t.boardLargeText],
];

/** How what is drawn next looks, and what is selected; and what can be done with that. */
export function Looks({ surface }: { surface: Surface }): ReactNode {
  const desk = useStoreValue(surface.desk);
  const tool = useStoreValue(desk.tool);
  const choice = useStoreValue(desk.choice);
  useStoreValue(desk.selection);
  useStoreValue(desk.version);
  const selected = desk.selected();
  const offers = offersOf(tool, selected);
  const [first] = selected;
  const isNote = tool === 'note' || (first !== undefined && selected.every(({ type }) => type === 'note'));
  const color =
    first === undefined ? (isNote ? choice.noteColor : choice.color) : isNote ? first.fill : first.color;
  const isMarker = tool === 'marker' || first?.type === 'marker';
  const width = first?.width ?? (isMarker ? choice.markerWidth : choice.width);
  const set = (style: Style): void => {
    desk.style(style);
    surface.focus();
  };
  const isFilled = first === undefined ? choice.fill !== null : first.fill !== null;
  const isDashed = first?.dashed ?? choice.dashed;
  const fontSize = first?.fontSize ?? choice.fontSize;
  const shown = Object.values(offers).some(Boolean);
  return (
    <div className="board-looks">
      {shown ? (
        <div className="board-bar" role="group" aria-label={t.boardLooks} data-testid="board-looks">
          {offers.color
            ? COLORS.map((name) => (
                <button
                  key={name}
                  type="button"
                  className="board-color"
                  data-color={name}
                  aria-label={t.boardColor(COLOR_NAMES[name])}
                  title={COLOR_NAMES[name]}
                  aria-pressed={color === name}
                  onClick={() => set(isFilled && offers.fill ? { color: name, fill: name } : { color: name })}
                  data-testid={`board-color-${name}`}
                />
              ))
            : null}
          {offers.width
            ? (isMarker ? MARKER_WIDTHS : WIDTHS).map(([value, label]) => (
                <BoardButton
                  key={value}
                  label={label}
                  Icon={widthIcon(value)}
                  pressed={width === value}
                  onClick={() => set({ width: value })}
                />
              ))
            : null}
          {offers.fill ? (
            <BoardButton
              label={t.boardFill}
              Icon={FillIcon}
              pressed={isFilled}
              onClick={() => set({ fill: isFilled ? null : (color ?? 'ink') })}
              testId="board-fill"
            />
          ) : null}
          {offers.dashed ? (
            <BoardButton
              label={t.boardDashed}
              Icon={DashIcon}
              pressed={isDashed}
              onClick={() => set({ dashed: !isDashed })}
            />
          ) : null}
          {offers.fontSize
            ? SIZES.map(([value, label], index) => (
                <BoardButton
                  key={value}
                  label={label}
                  Icon={sizeIcon(index)}
                  pressed={fontSize === value}
                  onClick={() => set({ fontSize: value })}
                />
              ))
            : null}
          {offers.eraser
            ? (['object', 'partial'] as const).map((eraser) => (
                <button
                  key={eraser}
                  type="button"
                  className="board-button wide"
                  aria-pressed={choice.eraser === eraser}
                  onClick={() => {
                    desk.choose({ eraser });
                    surface.focus();
                  }}
                  data-testid={`board-erase-${eraser}`}
                >
                  {eraser === 'object' ? t.boardEraseObjects : t.boardEraseParts}
                </button>
              ))
            : null}
        </div>
      ) : null}
      {selected.length > 0 ? <Selection surface={surface} selected={selected} /> : null}
    </div>
  );
}

function Selection({ surface, selected }: { surface: Surface; selected: readonly Shape[] }): ReactNode {
  const desk = useStoreValue(surface.desk);
  const ids = selected.map(({ id }) => id);
  const isLocked = selected.every(({ locked }) => locked);
  const isGrouped = selected.some(({ group }) => group !== null);
  const item = (key: string, label: string, onSelect: () => void): MenuItem => ({
    key,
    label,
    onSelect,
    testId: `board-${key}`,
  });
  const arrange: MenuItem[] = [
    item('front', t.boardFront, () => surface.act('front')),
    item('forward', t.boardForward, () => surface.act('forward')),
    item('backward', t.boardBackward, () => surface.act('backward')),
    item('back', t.boardBack, () => surface.act('back')),
  ];
  const align: MenuItem[] = [
    item('align-left', t.boardAlignLeft, () => desk.editor.align(ids, 'left')),
    item('align-center', t.boardAlignCenter, () => desk.editor.align(ids, 'center')),
    item('align-right', t.boardAlignRight, () => desk.editor.align(ids, 'right')),
    item('align-top', t.boardAlignTop, () => desk.editor.align(ids, 'top')),
    item('align-middle', t.boardAlignMiddle, () => desk.editor.align(ids, 'middle')),
    item('align-bottom', t.boardAlignBottom, () => desk.editor.align(ids, 'bottom')),
    item('distribute-x', t.boardDistributeX, () => desk.editor.distribute(ids, 'x')),
    item('distribute-y', t.boardDistributeY, () => desk.editor.distribute(ids, 'y')),
  ];
  return (
    <div className="board-bar" role="group" aria-label={t.boardSelection} data-testid="board-selection">
      <BoardButton
        label={isLocked ? t.boardUnlock : t.boardLock}
        keys="Ctrl Shift L"
        Icon={LockIcon}
        pressed={isLocked}
        onClick={() => surface.act('lock')}
        testId="board-lock"
      />
      {isLocked ? null : (
        <>
          <BoardButton
            label={t.boardDuplicate}
            keys="Ctrl D"
            Icon={CopyIcon}
            onClick={() => surface.act('duplicate')}
            testId="board-duplicate"
          />
          {selected.length > 1 ? (
            <BoardButton
              label={isGrouped ? t.boardUngroup : t.boardGroup}
              keys={isGrouped ? 'Ctrl Shift G' : 'Ctrl G'}
              Icon={GroupIcon}
              pressed={isGrouped}
              onClick={() => surface.act(isGrouped ? 'ungroup' : 'group')}
              testId="board-group"
            />
          ) : null}
          <Menu
            label={t.boardArrange}
            button={<LayersIcon />}
            className="board-button"
            items={arrange}
            testId="board-arrange"
          />
          {selected.length > 1 ? (
            <Menu
              label={t.boardAlignLeft}
              button={<AlignIcon />}
              className="board-button"
              items={align}
              testId="board-align"
            />
          ) : null}
          <BoardButton
            label={t.boardDelete}
            keys="Del"
            Icon={TrashIcon}
            onClick={() => surface.act('delete')}
            testId="board-delete"
          />
        </>
      )}
    </div>
  );
}

const dots = new Map<string, () => ReactNode>();

/** A dot as thick as the line, within reason. */
function widthIcon(width: number): () => ReactNode {
  return kept(`width ${width}`, () => (
    <span
      className="board-dot"
      data-size={width <= 2 || width === 10 ? 1 : width <= 4 || width === 16 ? 2 : 3}
    />
  ));
}

function sizeIcon(index: number): () => ReactNode {
  return kept(`size ${index}`, () => (
    <span className="board-letter" data-size={index + 1} aria-hidden="true">
      A
    </span>
  ));
}

/** The same part each time, so that React keeps what it made. */
function kept(key: string, make: () => ReactNode): () => ReactNode {
  const known = dots.get(key);
  if (known !== undefined) return known;
  dots.set(key, make);
  return make;
}
