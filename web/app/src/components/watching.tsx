import { type ReactNode, useEffect, useMemo } from 'react';
import { useRevivals } from '../lib/hooks';
import { RoomProvider } from '../store/room';
import { Watched, WatchedProvider } from '../store/watch';

/** Watches a broadcast for what is inside, as long as it is there. */
export function Watching({ id, children }: { id: number; children: ReactNode }): ReactNode {
  const revivals = useRevivals();
  const watched = useMemo(() => new Watched(id), [id]);
  useEffect(() => watched.open(), [watched, revivals]);
  return (
    <WatchedProvider value={watched}>
      <RoomProvider value={watched.room}>{children}</RoomProvider>
    </WatchedProvider>
  );
}
