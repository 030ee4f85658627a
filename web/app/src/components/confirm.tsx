import { type ReactNode, useEffect, useRef } from 'react';

/** A question that has to be answered first. */
export function Confirm(props: {
  title: string;
  text: string;
  yes: string;
  no: string;
  onYes: () => void;
  onNo: () => void;
}): ReactNode {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      className="dialog"
      aria-labelledby="dialog-title"
      aria-describedby="dialog-text"
      onCancel={props.onNo}
    >
      <h2 id="dialog-title">{props.title}</h2>
      <p id="dialog-text">{props.text}</p>
      <div className="dialog-actions">
        <button type="button" className="button" onClick={props.onNo} autoFocus>
          {props.no}
        </button>
        <button type="button" className="button danger" onClick={props.onYes} data-testid="confirm-end">
          {props.yes}
        </button>
      </div>
    </dialog>
  );
}
