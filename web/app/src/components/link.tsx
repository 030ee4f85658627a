import type { MouseEvent, ReactNode } from 'react';
import { navigate } from '../lib/router';

/** A link inside the site. */
export function Link(props: {
  to: string;
  className?: string;
  current?: boolean;
  label?: string;
  children: ReactNode;
}): ReactNode {
  const follow = (event: MouseEvent): void => {
    // New tabs and downloads are the browser's.
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
      onClick={follow}
    >
      {props.children}
    </a>
  );
}
