import type { ReactNode } from 'react';
import { AlertIcon } from './icons';

/** A state of a page or a part of it in words: empty, gone, failed. */
export function Message(props: {
  title: string;
  hint?: string;
  art?: 'courtyard' | 'alert' | 'spinner';
  heading?: 1 | 2;
  children?: ReactNode;
  testId?: string;
}): ReactNode {
  const Heading = props.heading === 1 ? 'h1' : 'h2';
  return (
    <div className="message" data-testid={props.testId}>
      {props.art === 'courtyard' ? <Courtyard /> : null}
      {props.art === 'alert' ? (
        <span className="message-alert">
          <AlertIcon />
        </span>
      ) : null}
      {props.art === 'spinner' ? <span className="spinner" /> : null}
      <Heading className="message-title">{props.title}</Heading>
      {props.hint === undefined ? null : <p className="message-hint">{props.hint}</p>}
      {props.children === undefined ? null : <div className="message-actions">{props.children}</div>}
    </div>
  );
}

/** A problem beside what it is about. */
export function Notice(props: { tone: 'error' | 'info'; children: ReactNode; testId?: string }): ReactNode {
  return (
    <div
      className="notice"
      data-tone={props.tone}
      role={props.tone === 'error' ? 'alert' : 'status'}
      data-testid={props.testId}
    >
      {props.tone === 'error' ? <AlertIcon /> : null}
      <div className="notice-body">{props.children}</div>
    </div>
  );
}

function Courtyard(): ReactNode {
  return (
    <svg className="courtyard" viewBox="0 0 200 120" aria-hidden="true">
      <ellipse cx="100" cy="108" rx="86" ry="8" fill="var(--line)" />
      <path d="M22 58 Q100 22 178 58 L170 64 Q100 36 30 64Z" fill="var(--accent)" />
      <path d="M36 62h8v42h-8zM156 62h8v42h-8z" fill="var(--ink-3)" />
      <path d="M44 66h112v6H44z" fill="var(--line-strong)" />
      <rect x="64" y="72" width="72" height="32" rx="3" fill="var(--surface-2)" stroke="var(--line-strong)" />
      <circle cx="100" cy="88" r="9" fill="var(--accent-soft)" />
      <path d="m97.500 83.500 7 4.500-7 4.500z" fill="var(--accent)" />
    </svg>
  );
}
