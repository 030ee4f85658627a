import { type ReactNode, useId } from 'react';
import { MAX_TEXT_CHARS } from '@madang/sdk';
import { t } from '../texts';

/** From here on it says how much is left. */
const NEAR = 40;

/** How many characters too many a title or description has; 0 where it fits. Counted as the service does. */
export function tooMany(text: string): number {
  return Math.max(Array.from(text.trim()).length - MAX_TEXT_CHARS, 0);
}

/** A field for a title or a description. Nothing of what is written or pasted is cut: it says what is too much. */
export function ToldField(props: {
  label: string;
  value: string;
  placeholder: string;
  lines?: number;
  onChange: (value: string) => void;
  testId: string;
}): ReactNode {
  const { label, value, placeholder, lines, onChange, testId } = props;
  const hint = useId();
  const left = MAX_TEXT_CHARS - Array.from(value.trim()).length;
  const shared = {
    className: 'input',
    value,
    placeholder,
    dir: 'auto',
    'aria-describedby': hint,
    'aria-invalid': left < 0,
    'data-testid': testId,
  } as const;
  return (
    <label className="field">
      <span>{label}</span>
      {lines === undefined ? (
        <input {...shared} onChange={(event) => onChange(event.target.value)} />
      ) : (
        <textarea {...shared} rows={lines} onChange={(event) => onChange(event.target.value)} />
      )}
      <small id={hint} className={left < 0 ? 'field-hint wrong' : 'field-hint'} aria-live="polite">
        {left < 0 ? t.textsOver(-left) : left <= NEAR ? t.textsLeft(left) : t.textsHint(MAX_TEXT_CHARS)}
      </small>
    </label>
  );
}
