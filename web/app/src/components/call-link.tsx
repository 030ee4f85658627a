import { type ReactNode, useState } from 'react';
import { useServer } from '../lib/api';
import { type StartFailure, startFailure } from '../lib/start-failure';
import { t } from '../texts';
import { CallStarter, StartCall } from './start-call';

/**
 * Starts a call: makes a group and goes to its page, whose address is the invitation. In the development mode one click
 * does it; elsewhere a form asks for the creator token first.
 */
export function CallLink(): ReactNode {
  const config = useServer((state) => state.config);
  const [starter] = useState(() => new CallStarter());
  const [busy, setBusy] = useState(false);
  const [asks, setAsks] = useState<{ failure: StartFailure | null } | null>(null);
  const start = (): void => {
    if (config?.dev !== true) {
      setAsks({ failure: null });
      return;
    }
    setBusy(true);
    starter.start({ name: '', token: '' }).then(
      () => setBusy(false),
      (error: unknown) => {
        setBusy(false);
        setAsks({ failure: startFailure(error, false) });
      },
    );
  };
  // Until it is known what the server asks for.
  if (config === null) return null;
  return (
    <>
      <button type="button" className="button" disabled={busy} onClick={start} data-testid="call-start">
        {t.callStart}
      </button>
      {asks === null ? null : (
        <StartCall
          starter={starter}
          failure={asks.failure}
          needsToken={!config.dev || asks.failure === 'token-needed'}
          onClose={() => setAsks(null)}
        />
      )}
    </>
  );
}
