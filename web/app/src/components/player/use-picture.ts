import { type RefObject, useEffect, useState } from 'react';

/** The picture in a window of its own above all others, where the browser can do that. */
export interface FloatingPicture {
  able: boolean;
  on: boolean;
  toggle: () => void;
}

/** The floating picture of what is large in `frame`. */
export function useFloatingPicture(frame: RefObject<HTMLElement | null>): FloatingPicture {
  const [on, setOn] = useState(false);
  useEffect(() => {
    const element = frame.current;
    if (element === null) return;
    // They come from the video and go up.
    const enter = (): void => setOn(true);
    const leave = (): void => setOn(false);
    element.addEventListener('enterpictureinpicture', enter);
    element.addEventListener('leavepictureinpicture', leave);
    return () => {
      element.removeEventListener('enterpictureinpicture', enter);
      element.removeEventListener('leavepictureinpicture', leave);
    };
  }, [frame]);
  // Firefox has a button of its own over the video instead.
  const able = 'pictureInPictureEnabled' in document && document.pictureInPictureEnabled;
  const toggle = (): void => {
    if (!able) return;
    if (document.pictureInPictureElement !== null) {
      void document.exitPictureInPicture().catch(() => undefined);
      return;
    }
    const video = frame.current?.querySelector<HTMLVideoElement>('video[data-place="main"]');
    // One without a picture yet refuses.
    void video?.requestPictureInPicture().catch(() => undefined);
  };
  return { able, on, toggle };
}
