import { useEffect, useState } from 'react';
import { blur } from './effect';

/** A camera as others would see it: null until it is there. `failed`: it cannot be blurred. */
export function useBlurred(
  track: MediaStreamTrack | null,
  on: boolean,
): { track: MediaStreamTrack | null; failed: boolean } {
  const [made, setMade] = useState<{ of: MediaStreamTrack; track: MediaStreamTrack | null } | null>(null);
  useEffect(() => {
    if (track === null || !on) return;
    let over = false;
    let stop = (): void => undefined;
    blur.apply(track).then(
      (applied) => {
        if (over) {
          applied.stop();
          return;
        }
        stop = () => applied.stop();
        setMade({ of: track, track: applied.track });
      },
      () => {
        if (!over) setMade({ of: track, track: null });
      },
    );
    return () => {
      over = true;
      stop();
      setMade(null);
    };
  }, [track, on]);
  if (!on) return { track, failed: false };
  const own = made !== null && made.of === track ? made : null;
  return { track: own?.track ?? null, failed: own !== null && own.track === null };
}
