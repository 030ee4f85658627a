import { useEffect, useState } from 'react';
import { api } from '../../lib/api';
import { lookForPaths, type Obstacle, obstacleOf } from '../../lib/path-check';
import { keptCallToken } from '../../lib/storage';

/** Looks for what is in the way of media where `asked`; null until it is known. */
export function useObstacle(group: string, asked: boolean): Obstacle | null {
  const [obstacle, setObstacle] = useState<Obstacle | null>(null);
  useEffect(() => {
    if (!asked) return;
    let over = false;
    const servers = async (): Promise<RTCIceServer[]> =>
      (await api.iceServers(keptCallToken.read(group)?.token)).ice_servers;
    lookForPaths(servers).then(
      (facts) => {
        if (!over) setObstacle(obstacleOf(facts));
      },
      () => undefined,
    );
    return () => {
      over = true;
      setObstacle(null);
    };
  }, [group, asked]);
  return obstacle;
}
