import { type ReactNode, useState } from 'react';
import { playTestSound } from '@madang/react';
import { t } from '../texts';

/** Plays a sound on a loudspeaker; null is the default one. */
export function TestSound({ speakerId }: { speakerId: string | null }): ReactNode {
  const [state, setState] = useState<'idle' | 'plays' | 'failed'>('idle');
  const play = (): void => {
    setState('plays');
    playTestSound(speakerId).then(
      () => setState('idle'),
      () => setState('failed'),
    );
  };
  return (
    <>
      <button
        type="button"
        className="button"
        disabled={state === 'plays'}
        onClick={play}
        data-testid="test-sound"
      >
        {state === 'plays' ? t.testSoundPlays : t.testSound}
      </button>
      {state === 'failed' ? (
        <p className="small" role="alert">
          {t.testSoundFailed}
        </p>
      ) : null}
    </>
  );
}
