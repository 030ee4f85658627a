import type { ReactNode } from 'react';
import { Meter as PlainMeter } from '@madang/react';
import { t } from '../texts';

/** How loud a microphone is. */
export function Meter({ track, muted }: { track: MediaStreamTrack | null; muted: boolean }): ReactNode {
  return <PlainMeter track={track} label={t.inputLevel} muted={muted} className="meter" />;
}
