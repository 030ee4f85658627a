import { type ReactNode, useEffect, useId, useRef } from 'react';
import { t } from '../texts';

/** A dialog over the page, open as long as it is there: a title, what it is about, and a button that closes it. */
export function Dialog(props: {
  title: string;
  className: string;
  onClose: () => void;
  testId: string;
  children: ReactNode;
}): ReactNode {
  const { title, className, onClose, testId, children } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      className={`dialog ${className}`}
      aria-labelledby={id}
      onClose={onClose}
      data-testid={testId}
    >
      <h2 id={id}>{title}</h2>
      {children}
      <div className="dialog-actions">
        <button type="button" className="button" onClick={() => dialog.current?.close()} autoFocus>
          {t.close}
        </button>
      </div>
    </dialog>
  );
}
