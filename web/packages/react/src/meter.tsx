import { type ReactNode, useEffect, useRef } from 'react';
import { LevelMeter } from '@madang/sdk';

/** Steps that assistive technology is told of, so that it is not flooded. */
const SPOKEN_STEPS = 5;

/** How loud a microphone is: `--level` (0 to 1) on the element, set past React at the display's rate. */
export function Meter(props: {
  track: MediaStreamTrack | null;
  label: string;
  muted?: boolean;
  className?: string;
}): ReactNode {
  const { track, label, muted = false, className } = props;
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (track === null) return;
    const meter = new LevelMeter(track);
    const element = root.current;
    let frame = 0;
    let shown = 0;
    const show = (level: number): void => {
      element?.style.setProperty('--level', level.toFixed(3));
      element?.setAttribute('aria-valuenow', String(Math.round(level * SPOKEN_STEPS) / SPOKEN_STEPS));
    };
    const draw = (): void => {
      // Rises at once and falls slowly, as the eye expects of a meter.
      shown = Math.max(meter.level(), shown - 0.02);
      show(shown);
      frame = requestAnimationFrame(draw);
    };
    draw();
    return () => {
      cancelAnimationFrame(frame);
      meter.close();
      show(0);
    };
  }, [track]);
  return (
    <div
      ref={root}
      className={className}
      role="meter"
      aria-label={label}
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
