import { useTracks } from '@madang/react';
import { type ReactNode, useEffect } from 'react';
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
