import { type ReactNode, type RefObject, useEffect, useRef, useState } from 'react';

/** Shows tracks in a media element; no track, no source. */
export function useTracks<T extends HTMLMediaElement>(
  ...tracks: (MediaStreamTrack | null)[]
): RefObject<T | null> {
  const ref = useRef<T>(null);
  const present = tracks.filter((track) => track !== null);
  const key = present.map(({ id }) => id).join(' ');
  useEffect(() => {
    const element = ref.current;
    if (element === null) return;
    element.srcObject = key === '' ? null : new MediaStream(present);
    // The key stands for the tracks: an equal set must not restart playback.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [key]);
  return ref;
}

/** Plays an audio track; tells whether the browser wants a click first. */
export function TrackSound(props: {
  track: MediaStreamTrack | null;
  muted: boolean;
  volume: number;
  /** Rises with each click that allows sound. */
  allowed: number;
  onBlocked: () => void;
}): ReactNode {
  const { track, muted, volume, allowed, onBlocked } = props;
  const audio = useTracks<HTMLAudioElement>(track);
  useEffect(() => {
    setVolume(audio.current, volume);
  }, [audio, volume]);
  useEffect(() => {
    const element = audio.current;
    if (element === null || track === null) return;
    element.play().catch((error: unknown) => {
      if (error instanceof DOMException && error.name === 'NotAllowedError') onBlocked();
    });
  }, [audio, track, allowed, muted, onBlocked]);
  return <audio ref={audio} muted={muted} data-testid="sound" />;
}

function setVolume(element: HTMLAudioElement | null, volume: number): void {
  if (element !== null) element.volume = volume;
}

/** Whether an element fills the screen, and the switch for it. */
export function useFullscreen(element: () => HTMLElement | null): [boolean, () => void] {
  const [full, setFull] = useState(false);
  useEffect(() => {
    const update = (): void => setFull(document.fullscreenElement !== null);
    document.addEventListener('fullscreenchange', update);
    return () => document.removeEventListener('fullscreenchange', update);
  }, []);
  const toggle = (): void => {
    const target = element();
    const video = target?.querySelector<WebkitVideo>('video[data-place="main"]') ?? null;
    if (document.fullscreenElement !== null) void document.exitFullscreen();
    else if (target !== null && document.fullscreenEnabled)
      void target.requestFullscreen().catch(() => undefined);
    else video?.webkitEnterFullscreen?.();
  };
  return [full, toggle];
}

/** Phones of Apple give the full screen to videos only. */
interface WebkitVideo extends HTMLVideoElement {
  webkitEnterFullscreen?: () => void;
}
