import { type ReactNode, useCallback, useEffect, useState } from 'react';
import { createPortal } from 'react-dom';
import { usePerson, useRoom, useStoreValue, useView } from '@madang/react';
import { LeaveIcon } from '../../components/call-icons';
import { CameraIcon, CameraOffIcon, MicIcon, MicOffIcon } from '../../components/icons';
import { t } from '../../texts';
import type { Actions } from './actions';
import type { PageControls } from './bar';
import { useUi } from './ui';

/** Windows of a page that stay above all others; the types of browsers do not have it yet. */
interface DocumentPictures {
  requestWindow(options: { width: number; height: number }): Promise<Window>;
}

function documentPictures(): DocumentPictures | null {
  return (window as { documentPictureInPicture?: DocumentPictures }).documentPictureInPicture ?? null;
}

/** Wide as a thumb is long. */
const WINDOW = { width: 400, height: 270 };

/** The call in a small window that stays above others: a page of its own where the browser can, else the picture. */
export function usePicture(actions: Actions, leave: () => void): [PageControls['picture'], ReactNode] {
  const ui = useUi();
  const [small, setSmall] = useState<Window | null>(null);
  const [video, setVideo] = useState<HTMLVideoElement | null>(null);
  const pages = documentPictures();
  useEffect(() => () => small?.close(), [small]);
  useEffect(() => {
    if (video === null) return;
    const left = (): void => {
      setVideo(null);
      ui.set({ floating: null });
    };
    video.addEventListener('leavepictureinpicture', left);
    return () => video.removeEventListener('leavepictureinpicture', left);
  }, [video, ui]);
  const open = useCallback(async (): Promise<void> => {
    if (pages !== null) {
      const opened = await pages.requestWindow(WINDOW);
      dress(opened.document);
      opened.addEventListener('pagehide', () => setSmall(null));
      setSmall(opened);
      return;
    }
    const largest = largestVideo();
    if (largest === null) return;
    ui.set({ floating: largest.key });
    await largest.video.requestPictureInPicture();
    setVideo(largest.video);
  }, [pages, ui]);
  const isOpen = small !== null || video !== null;
  const toggle = (): void => {
    if (small !== null) small.close();
    else if (video !== null) void document.exitPictureInPicture().catch(() => undefined);
    else
      open().catch(() => {
        ui.set({ floating: null });
        ui.say(t.roomRefused);
      });
  };
  const able = pages !== null || document.pictureInPictureEnabled;
  const view =
    small === null
      ? null
      : createPortal(<SmallCall actions={actions} leave={leave} />, small.document.body, 'small call');
  return [able ? { open: isOpen, toggle } : null, view];
}

/** The small window looks as the page does. */
function dress(small: Document): void {
  for (const style of document.querySelectorAll('style, link[rel="stylesheet"]'))
    small.head.append(small.importNode(style, true));
  small.documentElement.lang = document.documentElement.lang;
  small.title = document.title;
  small.body.className = 'call-small call-night';
}

/** What is largest on the stage, but never oneself while others are there. */
function largestVideo(): { key: string; video: HTMLVideoElement } | null {
  const area = (tile: HTMLElement): number => tile.offsetWidth * tile.offsetHeight;
  const tiles = [...document.querySelectorAll<HTMLElement>('.call-tile')];
  const others = tiles.filter((tile) => tile.dataset.testid !== 'call-self');
  const [largest] = (others.length > 0 ? others : tiles).sort((a, b) => area(b) - area(a));
  const video = largest?.querySelector('video') ?? null;
  const key = largest?.dataset.key;
  return video === null || key === undefined ? null : { key, video };
}

/** Whoever speaks, and what one needs at hand. */
function SmallCall({ actions, leave }: { actions: Actions; leave: () => void }): ReactNode {
  const { mic, camera } = useRoom().me;
  const [ref, view] = useView('speaker', { always: true, priority: 0 });
  const speaks = useStoreValue(mic.state, ({ state }) => state === 'on' || state === 'starting');
  const shows = useStoreValue(camera.state, ({ state }) => state === 'on' || state === 'starting');
  return (
    <>
      <video ref={ref} autoPlay playsInline muted />
      {view.participant === null ? (
        <p className="call-tile-why">{t.roomWaitSpeaker}</p>
      ) : (
        <SmallName participant={view.participant} />
      )}
      <div className="call-bar" role="toolbar" aria-label={t.roomControls}>
        <button
          type="button"
          className="call-control"
          aria-label={speaks ? t.roomMicOff : t.roomMicOn}
          data-on={speaks}
          onClick={actions.microphone}
        >
          {speaks ? <MicIcon /> : <MicOffIcon />}
        </button>
        <button
          type="button"
          className="call-control"
          aria-label={shows ? t.roomCameraOff : t.roomCameraOn}
          data-on={shows}
          onClick={actions.camera}
        >
          {shows ? <CameraIcon /> : <CameraOffIcon />}
        </button>
        <button type="button" className="call-control leave" aria-label={t.roomLeave} onClick={leave}>
          <LeaveIcon />
        </button>
      </div>
    </>
  );
}

function SmallName({ participant }: { participant: string }): ReactNode {
  const name = usePerson(participant, (person) => person?.name ?? '');
  return (
    <span className="call-tile-label">
      <span className="call-who">{name === '' ? t.roomGuest : name}</span>
    </span>
  );
}
