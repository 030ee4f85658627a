import { type KeyboardEvent, type ReactNode, useEffect, useRef, useState } from 'react';
import { CheckIcon } from './icons';

/** One thing to choose. */
export interface MenuItem {
  key: string;
  label: string;
  icon?: ReactNode;
  /** One of several of which one holds. */
  checked?: boolean;
  disabled?: boolean;
  onSelect: () => void;
  testId?: string;
}

/** A button that opens a list of things to choose, with the keys that such a list has. */
export function Menu(props: {
  label: string;
  /** What is on the button; its label is not. */
  button: ReactNode;
  className?: string;
  items: readonly MenuItem[];
  /** Stands in rows above the items, each as a sign with its name. */
  signs?: readonly { key: string; sign: ReactNode; label: string; onSelect: () => void; testId?: string }[];
  testId?: string;
}): ReactNode {
  const { label, button, className, items, signs = [], testId } = props;
  const [open, setOpen] = useState(false);
  const frame = useRef<HTMLDivElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
    const first = list.current?.querySelector<HTMLElement>('[aria-checked="true"], [role^="menuitem"]');
    first?.focus();
    const away = (event: PointerEvent): void => {
      if (!frame.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener('pointerdown', away);
    return () => document.removeEventListener('pointerdown', away);
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
    const entries = [...(list.current?.querySelectorAll<HTMLElement>('[role^="menuitem"]:enabled') ?? [])];
    const at = entries.findIndex((entry) => entry === document.activeElement);
    const to = {
      ArrowDown: at + 1,
      ArrowRight: at + 1,
      ArrowUp: at - 1,
      ArrowLeft: at - 1,
      Home: 0,
      End: entries.length - 1,
    }[event.key];
    if (to === undefined || entries.length === 0) return;
    event.preventDefault();
    entries.at(to % entries.length)?.focus();
  };
  return (
    <div className="menu" ref={frame}>
      <button
        type="button"
        ref={opener}
        className={className}
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
        <div className="menu-panel" role="menu" aria-label={label} tabIndex={-1} ref={list} onKeyDown={move}>
          {signs.length === 0 ? null : (
            <div className="menu-signs" role="group">
              {signs.map((item) => (
                <button
                  key={item.key}
                  type="button"
                  role="menuitem"
                  tabIndex={-1}
                  aria-label={item.label}
                  title={item.label}
                  onClick={() => {
                    close();
                    item.onSelect();
                  }}
                  data-testid={item.testId}
                >
                  {item.sign}
                </button>
              ))}
            </div>
          )}
          {items.map((item) => (
            <button
              key={item.key}
              type="button"
              role={item.checked === undefined ? 'menuitem' : 'menuitemradio'}
              aria-checked={item.checked}
              disabled={item.disabled}
              tabIndex={-1}
              className="menu-item"
              onClick={() => {
                close();
                item.onSelect();
              }}
              data-testid={item.testId}
            >
              <span className="menu-icon">{item.icon}</span>
              <span>{item.label}</span>
              {item.checked === true ? (
                <span className="menu-check">
                  <CheckIcon />
                </span>
              ) : null}
            </button>
          ))}
        </div>
      ) : null}
    </div>
  );
}
