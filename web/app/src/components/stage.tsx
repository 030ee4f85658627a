import { useTracks } from '@madang/react';
import { type ReactNode, useEffect, useRef } from 'react';
import { t } from '../texts';

/** Camera and screen of a broadcast: the screen large and the camera small where both are there. */
export function Stage(props: {
  camera: MediaStreamTrack | null;
  screen: MediaStreamTrack | null;
  /** The camera large and the screen small instead. */
  swapped?: boolean;
  /** The pictures stand still, also those of a new connection. */
  paused?: boolean;
  /** What covers the stage. */
  overlay?: ReactNode;
  /** What lies over its lower edge. */
  bar?: ReactNode;
  onMain?: (video: HTMLVideoElement | null, kind: 'camera' | 'screen') => void;
  children?: ReactNode;
}): ReactNode {
  const { camera, screen, swapped = false, paused = false, onMain } = props;
  const cameraVideo = useTracks<HTMLVideoElement>(camera);
  const screenVideo = useTracks<HTMLVideoElement>(screen);
  const main = screen !== null && !(swapped && camera !== null) ? 'screen' : 'camera';
  useEffect(() => {
    onMain?.(main === 'screen' ? screenVideo.current : cameraVideo.current, main);
  }, [main, onMain, cameraVideo, screenVideo]);
  const wasPaused = useRef(false);
  useEffect(() => {
    for (const { current: video } of [cameraVideo, screenVideo]) {
      if (paused) video?.pause();
      // A stream has no past: it goes on with what is now. One that is not there yet begins by itself.
      else if (wasPaused.current) void video?.play().catch(() => undefined);
    }
    wasPaused.current = paused;
  }, [paused, camera, screen, cameraVideo, screenVideo]);
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
