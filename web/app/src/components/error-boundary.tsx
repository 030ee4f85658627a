import { Component, type ReactNode } from 'react';
import { t } from '../texts';
import { Message } from './message';

/** Shows words instead of a blank page when a page fails. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }

  override render(): ReactNode {
    if (!this.state.failed) return this.props.children;
    return (
      <Message heading={1} art="alert" title={t.pageCrashedTitle} hint={t.pageCrashedHint}>
        <button type="button" className="button primary" onClick={() => location.reload()}>
          {t.reload}
        </button>
      </Message>
    );
  }
}
