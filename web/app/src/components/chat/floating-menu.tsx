import { type KeyboardEvent, type ReactNode, useEffect, useLayoutEffect, useRef, useState } from 'react';

/** One thing to choose. */
export interface FloatingItem {
  key: string;
  label: string;
  danger?: boolean;
  onSelect: () => void;
}

/** Pixels between the menu, its button and the edges of the window. */
const SPACE = 6;

/** A button with a menu that lies over the page, so that a list that scrolls does not cut it off. */
export function FloatingMenu(props: {
  label: string;
  button: ReactNode;
  items: readonly FloatingItem[];
  testId: string;
}): ReactNode {
  const { label, button, items, testId } = props;
  const [open, setOpen] = useState(false);
  const opener = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const menu = list.current;
    const at = opener.current?.getBoundingClientRect();
    if (!open || menu === null || at === undefined) return;
    // Over everything else. Browsers without popovers leave it where it is, above the page by its place alone.
    if ('showPopover' in menu) menu.showPopover();
    const { width, height } = menu.getBoundingClientRect();
    const below = at.bottom + SPACE + height <= innerHeight;
    const top = below ? at.bottom + SPACE : Math.max(SPACE, at.top - SPACE - height);
    const left = Math.max(SPACE, Math.min(at.right - width, innerWidth - width - SPACE));
    menu.style.top = `${top}px`;
    menu.style.left = `${left}px`;
    menu.querySelector<HTMLElement>('[role="menuitem"]')?.focus();
  }, [open]);
  useEffect(() => {
    if (!open) return;
    const away = (event: Event): void => {
      const { target } = event;
      const inside = target instanceof Node && (list.current?.contains(target) ?? false);
      if (!inside && !(target instanceof Node && opener.current?.contains(target) === true)) setOpen(false);
    };
    document.addEventListener('pointerdown', away);
    addEventListener('resize', away);
    return () => {
      document.removeEventListener('pointerdown', away);
      removeEventListener('resize', away);
    };
  }, [open]);
  const close = (): void => {
    setOpen(false);
    opener.current?.focus();
  };
  const move = (event: KeyboardEvent): void => {
    if (event.key === 'Escape' || event.key === 'Tab') {
      if (event.key === 'Escape') event.preventDefault();
      event.stopPropagation();
      close();
      return;
    }
    const entries = [...(list.current?.querySelectorAll<HTMLElement>('[role="menuitem"]') ?? [])];
    const at = entries.findIndex((entry) => entry === document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined || entries.length === 0) return;
    event.preventDefault();
    event.stopPropagation();
    entries.at(to % entries.length)?.focus();
  };
  return (
    <>
      <button
        type="button"
        ref={opener}
        className="chat-action"
        aria-haspopup="menu"
        aria-expanded={open}
        aria-label={label}
        title={label}
        onClick={() => setOpen(!open)}
        data-testid={testId}
      >
        {button}
      </button>
      {open ? (
        <div
          ref={list}
          className="floating-menu"
          role="menu"
          aria-label={label}
          popover="manual"
          tabIndex={-1}
          onKeyDown={move}
        >
          {items.map(({ key, label: text, danger = false, onSelect }) => (
            <button
              key={key}
              type="button"
              role="menuitem"
              tabIndex={-1}
              className="menu-item"
              data-danger={danger}
              onClick={() => {
                close();
                onSelect();
              }}
              data-testid={`${testId}-${key}`}
            >
              {text}
            </button>
          ))}
        </div>
      ) : null}
    </>
  );
}
