import { type ReactNode, useRef, useState } from 'react';
import { useStoreValue } from '@madang/react';
import { readSheet, type Surface } from '@madang/board';
import { t } from '../../texts';
import { KeyboardIcon, MoreIcon } from '../call-icons';
import { Confirm } from '../confirm';
import { Dialog } from '../dialog';
import { Menu, type MenuItem } from '../menu';
import { FitIcon, MinusIcon, PlusIcon, PresentIcon, SaveIcon, TrashIcon } from './icons';
import { BoardButton } from './tools';

/** Pages, zoom, who else is there, and what is needed less often. */
export function BoardHead(props: {
  surface: Surface;
  say: (word: string) => void;
  onKeys: () => void;
}): ReactNode {
  const { surface } = props;
  return (
    <div className="board-head">
      <Pages surface={surface} say={props.say} />
      <Zoom surface={surface} />
      <Others surface={surface} />
      <More {...props} />
    </div>
  );
}

function Pages({ surface, say }: { surface: Surface; say: (word: string) => void }): ReactNode {
  const desk = useStoreValue(surface.desk);
  const pages = useStoreValue(desk.pages);
  const page = useStoreValue(desk.page);
  const { mayDraw } = useStoreValue(surface.board.state);
  const at = pages.findIndex(({ id }) => id === page);
  const items: MenuItem[] = pages.map(({ id, name }, index) => ({
    key: id,
    label: name === '' ? t.boardPageNumber(index + 1) : name,
    checked: id === page,
    onSelect: () => {
      surface.follow(null);
      desk.go(id);
    },
    testId: 'board-page-item',
  }));
  const add = (): void => {
    const id = desk.editor.addPage(page);
    if (id === null) say(t.boardPagesFull);
    else desk.go(id);
    surface.focus();
  };
  const name = pages[at]?.name ?? '';
  // What is seen is said, too.
  const shown = name === '' ? `${at + 1} / ${pages.length}` : name;
  return (
    <div className="board-bar" data-part="pages">
      <Menu
        label={`${shown}: ${t.boardPage(at + 1, pages.length)}`}
        button={<span className="board-page-name">{shown}</span>}
        className="board-button wide"
        items={items}
        testId="board-pages"
      />
      {mayDraw ? (
        <BoardButton label={t.boardPageAdd} Icon={PlusIcon} onClick={add} testId="board-page-add" />
      ) : null}
    </div>
  );
}

function Zoom({ surface }: { surface: Surface }): ReactNode {
  const desk = useStoreValue(surface.desk);
  const { zoom } = useStoreValue(desk.camera);
  const percent = Math.round(zoom * 100);
  return (
    <div className="board-bar" data-part="zoom">
      <BoardButton label={t.boardZoomOut} keys="−" Icon={MinusIcon} onClick={() => surface.act('zoom out')} />
      <button
        type="button"
        className="board-button wide board-percent"
        aria-label={t.boardZoom(percent)}
        title={t.boardZoom(percent)}
        onClick={() => surface.act('zoom 100')}
      >
        {percent} %
      </button>
      <BoardButton label={t.boardZoomIn} keys="+" Icon={PlusIcon} onClick={() => surface.act('zoom in')} />
      <BoardButton
        label={t.boardFit}
        keys="Shift 1"
        Icon={FitIcon}
        onClick={() => surface.act('fit')}
        testId="board-fit"
      />
    </div>
  );
}

/** So many are named; the others are a number. */
const NAMED = 4;

function Others({ surface }: { surface: Surface }): ReactNode {
  const others = useStoreValue(surface.others);
  const following = useStoreValue(surface.following);
  const people = [...others.values()];
  const followed = following === null ? undefined : others.get(following);
  const presenter = people.find(({ state }) => state.presenting === true);
  const nameOf = (name: string): string => (name === '' ? t.boardSomebody : name);
  if (followed !== undefined) {
    return (
      <p className="board-bar board-following" data-testid="board-following">
        <span>{t.boardFollowing(nameOf(followed.name))}</span>
        <button type="button" className="board-button wide" onClick={() => surface.follow(null)}>
          {t.boardFollowEnd}
        </button>
      </p>
    );
  }
  if (people.length === 0) return null;
  return (
    <div className="board-bar" role="group" aria-label={t.boardOthers} data-part="others">
      {presenter === undefined ? null : (
        <button
          type="button"
          className="board-button wide accent"
          onClick={() => surface.follow(presenter.client)}
          data-testid="board-presenter"
        >
          {t.boardPresents(nameOf(presenter.name))}
        </button>
      )}
      {people.slice(0, NAMED).map(({ client, name, color }) => (
        <button
          key={client}
          type="button"
          className="board-face"
          style={{ background: color }}
          aria-label={t.boardFollow(nameOf(name))}
          title={t.boardFollow(nameOf(name))}
          onClick={() => surface.follow(client)}
          data-testid="board-other"
        >
          {Array.from(nameOf(name))[0]?.toUpperCase()}
        </button>
      ))}
      {people.length > NAMED ? <span className="board-many">+{people.length - NAMED}</span> : null}
    </div>
  );
}

type Asked = 'clear' | 'remove' | 'rename' | null;

function More(props: { surface: Surface; say: (word: string) => void; onKeys: () => void }): ReactNode {
  const { surface, say, onKeys } = props;
  const desk = useStoreValue(surface.desk);
  const grid = useStoreValue(desk.grid);
  const pages = useStoreValue(desk.pages);
  const page = useStoreValue(desk.page);
  const presenting = useStoreValue(surface.presenting);
  const { mayDraw } = useStoreValue(surface.board.state);
  const [asked, setAsked] = useState<Asked>(null);
  const file = useRef<HTMLInputElement>(null);
  const save = (kind: 'png' | 'svg' | 'json'): void => {
    surface.exported(kind).then(
      (blob) => download(blob, `${t.board}.${kind}`),
      () => say(t.boardSaveFailed),
    );
  };
  const item = (key: string, label: string, icon: ReactNode, onSelect: () => void): MenuItem => ({
    key,
    label,
    icon,
    onSelect,
    testId: `board-${key}`,
  });
  const drawing: MenuItem[] = [
    item('rename', t.boardPageRename, null, () => setAsked('rename')),
    { key: 'insert', label: t.boardInsert, onSelect: () => file.current?.click(), testId: 'board-insert' },
    item('clear', t.boardClear, <TrashIcon />, () => setAsked('clear')),
    ...(pages.length > 1
      ? [item('page-remove', t.boardPageRemove, <TrashIcon />, () => setAsked('remove'))]
      : []),
  ];
  const items: MenuItem[] = [
    item('present', presenting ? t.boardPresentEnd : t.boardPresent, <PresentIcon />, () =>
      surface.present(!presenting),
    ),
    { ...item('grid', t.boardGrid, null, () => desk.grid.set(!grid)), checked: grid },
    item('png', t.boardSavePng, <SaveIcon />, () => save('png')),
    item('svg', t.boardSaveSvg, <SaveIcon />, () => save('svg')),
    item('json', t.boardSaveJson, <SaveIcon />, () => save('json')),
    ...(mayDraw ? drawing : []),
    item('keys', t.boardKeys, <KeyboardIcon />, onKeys),
  ];
  const done = (act: () => void) => (): void => {
    setAsked(null);
    act();
    surface.focus();
  };
  return (
    <div className="board-bar" data-part="more">
      <Menu
        label={t.boardMore}
        button={<MoreIcon />}
        className="board-button"
        items={items}
        testId="board-more"
      />
      <input
        ref={file}
        type="file"
        accept="application/json,.json"
        hidden
        aria-label={t.boardInsert}
        onChange={({ target }) => {
          void target.files?.[0]?.text().then((text) => {
            const shapes = readSheet(text);
            if (shapes === null || shapes.length === 0) say(t.boardNoPaste);
            else surface.insert(shapes);
          });
          target.value = '';
        }}
        data-testid="board-insert-file"
      />
      {asked === 'clear' ? (
        <Confirm
          title={t.boardClearTitle}
          text={t.boardClearText}
          yes={t.boardClear}
          no={t.cancel}
          onYes={done(() => desk.editor.clear(page))}
          onNo={() => setAsked(null)}
        />
      ) : null}
      {asked === 'remove' ? (
        <Confirm
          title={t.boardPageRemoveTitle}
          text={t.boardPageRemoveText}
          yes={t.boardPageRemove}
          no={t.cancel}
          onYes={done(() => desk.editor.removePage(page))}
          onNo={() => setAsked(null)}
        />
      ) : null}
      {asked === 'rename' ? (
        <Dialog
          title={t.boardPageRename}
          className="board-rename"
          onClose={() => setAsked(null)}
          testId="board-rename-dialog"
        >
          <input
            className="field"
            aria-label={t.boardPageName}
            defaultValue={pages.find(({ id }) => id === page)?.name ?? ''}
            maxLength={60}
            onBlur={({ target }) => desk.editor.renamePage(page, target.value.trim())}
            data-testid="board-page-name"
          />
        </Dialog>
      ) : null}
    </div>
  );
}

function download(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser reads it after the click.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
