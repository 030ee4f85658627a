import type { Frame } from './cover.js';

/** Says which frames an element paints, until `close`: each with what its receiver knows of it. */
export class Frames {
  private handle: number | null = null;
  private readonly hasCallback: boolean;

  constructor(
    private readonly element: HTMLVideoElement,
    private readonly painted: (frame: Frame, width: number, height: number) => void,
  ) {
    this.hasCallback = 'requestVideoFrameCallback' in element;
  }

  private receiver: RTCRtpReceiver | null = null;

  /** Frames of this receiver from now on; none of one's own camera. A frame that was painted before is not told. */
  follow(receiver: RTCRtpReceiver | null): void {
    this.close();
    this.receiver = receiver;
    this.ask();
  }

  close(): void {
    if (this.handle === null) return;
    if (this.hasCallback) this.element.cancelVideoFrameCallback(this.handle);
    else cancelAnimationFrame(this.handle);
    this.handle = null;
  }

  private ask(): void {
    this.handle = this.hasCallback
      ? this.element.requestVideoFrameCallback((_, { rtpTimestamp, width, height }) =>
          this.tell(rtpTimestamp ?? null, width, height),
        )
      : requestAnimationFrame(() => {
          const { videoWidth, videoHeight } = this.element;
          if (videoWidth > 0) this.tell(null, videoWidth, videoHeight);
          else this.ask();
        });
  }

  private tell(rtp: number | null, width: number, height: number): void {
    this.ask();
    const sources = (this.receiver?.getContributingSources() ?? [])
      .map(({ source, rtpTimestamp, timestamp }) => ({ source, rtp: rtpTimestamp, timestamp }))
      .sort((a, b) => b.timestamp - a.timestamp);
    this.painted({ atMs: performance.now(), rtp, sources }, width, height);
  }
}
