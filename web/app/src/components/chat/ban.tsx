import { type ReactNode, useEffect, useId, useRef, useState } from 'react';
import { MAX_REASON_CHARS } from '@madang/sdk';
import { t } from '../../texts';

/** Asks whether somebody is to be banned, and how. */
export function BanDialog(props: {
  name: string;
  address: boolean;
  onYes: (options: { address: boolean; delete: boolean; reason: string }) => void;
  onNo: () => void;
}): ReactNode {
  const { name, address, onYes, onNo } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const [all, setAll] = useState(false);
  const [reason, setReason] = useState('');
  const id = useId();
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      className="dialog chat-ban"
      aria-labelledby={`${id}-title`}
      aria-describedby={`${id}-text`}
      onCancel={onNo}
      data-testid="chat-ban"
    >
      <h2 id={`${id}-title`}>{t.chatBanTitle(name)}</h2>
      <p id={`${id}-text`}>{address ? `${t.chatBanText} ${t.chatBanAddressText}` : t.chatBanText}</p>
      <label className="field">
        <span>{t.chatReason('')}</span>
        <input
          className="input"
          value={reason}
          maxLength={MAX_REASON_CHARS}
          onChange={(event) => setReason(event.target.value)}
          data-testid="chat-ban-reason"
        />
      </label>
      <label className="chat-check">
        <input type="checkbox" checked={all} onChange={(event) => setAll(event.target.checked)} />
        {t.chatBanDelete}
      </label>
      <div className="dialog-actions">
        <button type="button" className="button" onClick={onNo} autoFocus>
          {t.cancel}
        </button>
        <button
          type="button"
          className="button danger"
          onClick={() => onYes({ address, delete: all, reason: reason.trim() })}
          data-testid="chat-ban-yes"
        >
          {t.chatBanYes}
        </button>
      </div>
    </dialog>
  );
}
