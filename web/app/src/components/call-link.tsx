import { type ReactNode, useState } from 'react';
import { randomKey } from '@madang/sdk';
import { api, useServer } from '../lib/api';
import { navigate } from '../lib/router';
import { t } from '../texts';

/**
 * Starts a call in one click: makes a group and goes to its page, whose address is the invitation. Only in the
 * development mode: elsewhere a group is made with a creator token, which this page does not have.
 */
export function CallLink(): ReactNode {
  const canCreate = useServer(({ config }) => config?.dev ?? false);
  const [state, setState] = useState<'idle' | 'busy' | 'failed'>('idle');
  const start = (): void => {
    setState('busy');
    api.createGroup({ name: '' }, randomKey()).then(
      ({ id }) => navigate(`/call/${id}`),
      () => setState('failed'),
    );
  };
  if (!canCreate) return null;
  return (
    <button
      type="button"
      className="button"
      disabled={state === 'busy'}
      onClick={start}
      title={state === 'failed' ? t.callStartFailed : undefined}
      data-testid="call-start"
    >
      {state === 'failed' ? t.retry : t.callStart}
    </button>
  );
}
