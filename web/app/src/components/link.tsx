import type { MouseEvent, ReactNode } from 'react';
import { navigate } from '../lib/router';

/** A link inside the site. */
export function Link(props: {
  to: string;
  className?: string;
  current?: boolean;
  label?: string;
  /** Leaves this page where it is, in the frame of another site for example. */
  newTab?: boolean;
  testId?: string;
  children: ReactNode;
}): ReactNode {
  const follow = (event: MouseEvent): void => {
    // New tabs and downloads are the browser's.
    if (props.newTab === true) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button !== 0) return;
    event.preventDefault();
    navigate(props.to);
  };
  return (
    <a
      href={props.to}
      className={props.className}
      aria-current={props.current ? 'page' : undefined}
      aria-label={props.label}
      data-testid={props.testId}
      target={props.newTab === true ? '_blank' : undefined}
      rel={props.newTab === true ? 'noopener' : undefined}
      onClick={follow}
    >
      {props.children}
    </a>
  );
}
