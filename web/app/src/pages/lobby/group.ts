import { useEffect, useState } from 'react';
import { type Admission, ApiError } from '@madang/sdk';
import { api } from '../../lib/api';

/** What is known of the group of a call. `away`: nobody answered, which says nothing of the group. */
export type GroupView =
  { is: 'asked' } | { is: 'there'; name: string; admission: Admission } | { is: 'gone' } | { is: 'away' };

/** Asks what the group is; again whenever `again` is another number. */
export function useGroup(group: string, again: number): GroupView {
  const [view, setView] = useState<GroupView>({ is: 'asked' });
  useEffect(() => {
    const control = new AbortController();
    api.group(group, control.signal).then(
      ({ name, admission }) => setView({ is: 'there', name, admission }),
      (error: unknown) => {
        if (control.signal.aborted) return;
        setView({ is: error instanceof ApiError && error.status === 404 ? 'gone' : 'away' });
      },
    );
    return () => control.abort();
  }, [group, again]);
  return view;
}
