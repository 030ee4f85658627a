import { type ReactNode, useEffect, useState } from 'react';
import { useTracks } from '../lib/hooks';
import { t } from '../texts';

/** Camera and screen of a broadcast: the screen large and the camera small where both are there. */
export function Stage(props: {
  camera: MediaStreamTrack | null;
  screen: MediaStreamTrack | null;
  /** The camera large and the screen small instead. */
  swapped?: boolean;
  /** What covers the stage. */
  overlay?: ReactNode;
  /** What lies over its lower edge. */
  bar?: ReactNode;
  onMain?: (video: HTMLVideoElement | null, kind: 'camera' | 'screen') => void;
  children?: ReactNode;
}): ReactNode {
  const { camera, screen, swapped = false, onMain } = props;
  const cameraVideo = useTracks<HTMLVideoElement>(camera);
  const screenVideo = useTracks<HTMLVideoElement>(screen);
  const main = screen !== null && !(swapped && camera !== null) ? 'screen' : 'camera';
  useEffect(() => {
    onMain?.(main === 'screen' ? screenVideo.current : cameraVideo.current, main);
  }, [main, onMain, cameraVideo, screenVideo]);
  const place = (kind: 'camera' | 'screen'): string => (main === kind ? 'main' : 'small');
  return (
    <div className="stage" data-camera={camera !== null} data-screen={screen !== null}>
      <video
        ref={cameraVideo}
        autoPlay
        muted
        playsInline
        aria-label={t.cameraVideo}
        hidden={camera === null}
        data-place={place('camera')}
        data-testid="video-camera"
      />
      <video
        ref={screenVideo}
        autoPlay
        muted
        playsInline
        aria-label={t.screenVideo}
        hidden={screen === null}
        data-place={place('screen')}
        data-testid="video-screen"
      />
      {props.overlay}
      {props.bar}
      {props.children}
    </div>
  );
}

/** Plays an audio track; tells whether the browser wants a click first. */
export function Sound(props: {
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
