import { type ReactNode, useEffect } from 'react';
import { useRoom } from './room.js';
import { useStoreValue } from './store.js';

/** What the sound of a room is played with. */
export interface SoundProps {
  /** 0 to 1. */
  volume?: number;
  /** A loudspeaker, where the browser can choose one. */
  output?: string | null;
  /** What is drawn where the browser wants a click first: one clear button that calls `start`. */
  children: (start: () => void) => ReactNode;
}

/** Everybody's sound as long as this is on the page; shows nothing but the button that a blocked browser wants. */
export function Sound({ volume = 1, output = null, children }: SoundProps): ReactNode {
  const { sound } = useRoom();
  const state = useStoreValue(sound.state);
  useEffect(() => {
    // Whether it is blocked is in the state.
    void sound.start().catch(() => undefined);
    return () => sound.stop();
  }, [sound]);
  useEffect(() => sound.volume(volume), [sound, volume]);
  useEffect(() => {
    // A loudspeaker that is gone leaves the one that plays.
    if (output !== null) void sound.output(output).catch(() => undefined);
  }, [sound, output]);
  return state === 'blocked' ? children(() => void sound.start().catch(() => undefined)) : null;
}
