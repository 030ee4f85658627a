import { listDevices, onDevicesChanged } from '../capture.js';

/** What happens to a page that a room has to know. */
export interface PageLifeOptions {
  /** The page goes away, or is kept by the browser as it is. */
  hidden: () => void;
  /** It is looked at again: after a phone call, a lock, another tab. */
  seen: () => void;
  /** The devices that there are now, by id. */
  devices: (ids: ReadonlySet<string>) => void;
}

/** Listens to the page until `close`. */
export class PageLife {
  private readonly stop: () => void;
  private hasLeft = false;

  constructor(private readonly options: PageLifeOptions) {
    addEventListener('pagehide', this.onHide);
    addEventListener('pageshow', this.onShow);
    document.addEventListener('visibilitychange', this.onVisibility);
    this.stop = onDevicesChanged(() => {
      void listDevices().then((devices) => options.devices(new Set(devices.map(({ deviceId }) => deviceId))));
    });
  }

  close(): void {
    removeEventListener('pagehide', this.onHide);
    document.removeEventListener('visibilitychange', this.onVisibility);
    this.stop();
    // A page that has left with its room listens on: it may be brought back as it was.
    if (!this.hasLeft) removeEventListener('pageshow', this.onShow);
  }

  private readonly onHide = (): void => {
    this.hasLeft = true;
    this.options.hidden();
  };

  /** What the browser brings back has left its call, and shows what is over: only the whole page can join anew. */
  private readonly onShow = ({ persisted }: PageTransitionEvent): void => {
    if (persisted && this.hasLeft) location.reload();
  };

  private readonly onVisibility = (): void => {
    if (document.visibilityState === 'visible') this.options.seen();
  };
}
