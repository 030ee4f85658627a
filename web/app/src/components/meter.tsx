import { type ReactNode, useEffect, useRef } from 'react';
import { LevelMeter } from '@madang/sdk';
import { t } from '../texts';

/** Steps that assistive technology is told of, so that it is not flooded. */
const SPOKEN_STEPS = 5;

/** How loud a microphone is, drawn past React at the display's rate. */
export function Meter({ track, muted }: { track: MediaStreamTrack | null; muted: boolean }): ReactNode {
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (track === null) return;
    const meter = new LevelMeter(track);
    let frame = 0;
    let shown = 0;
    const draw = (): void => {
      const level = meter.level();
      // Rises at once and falls slowly, as the eye expects of a meter.
      shown = Math.max(level, shown - 0.02);
      root.current?.style.setProperty('--level', shown.toFixed(3));
      root.current?.setAttribute('aria-valuenow', String(Math.round(shown * SPOKEN_STEPS) / SPOKEN_STEPS));
      frame = requestAnimationFrame(draw);
    };
    draw();
    return () => {
      cancelAnimationFrame(frame);
      meter.close();
    };
  }, [track]);
  return (
    <div
      ref={root}
      className="meter"
      role="meter"
      aria-label={t.inputLevel}
      aria-valuemin={0}
      aria-valuemax={1}
      aria-valuenow={0}
      data-muted={muted}
      data-testid="level"
    >
      <span />
    </div>
  );
}
