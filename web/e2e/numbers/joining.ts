/** What a page that joins has come to, in ms since it asked to. */
export interface Joining {
  asked: number | null;
  /** Every tile has painted a picture, and as many voices as are wanted have been heard. */
  complete: number | null;
  tiles: number;
  painted: number;
  voices: number;
  longestTask: number;
}

/**
 * For the start of a page of a call: notes when it asks to join, and looks at each frame whether every tile shows
 * a picture that was painted, and how many voices come.
 */
export function watchJoining(tiles: number, voices: number): string {
  return `(() => {
    const joining = (window.__joining = {
      asked: null, complete: null, tiles: 0, painted: 0, voices: 0, longestTask: 0,
    });
    const native = window.fetch;
    window.fetch = (input, init) => {
      const url = String(input instanceof Request ? input.url : input);
      if (joining.asked === null && init?.method === 'POST' && /\\/rooms\\/[^/]+\\/sessions$/.test(url)) {
        joining.asked = performance.now();
      }
      return native(input, init);
    };
    new PerformanceObserver((list) => {
      for (const task of list.getEntries()) {
        if (joining.asked === null || task.startTime < joining.asked || joining.complete !== null) continue;
        joining.longestTask = Math.max(joining.longestTask, task.duration);
      }
    }).observe({ type: 'longtask', buffered: true });
    const isPainted = (video) =>
      !video.hidden && video.videoWidth > 0 && getComputedStyle(video).opacity !== '0' &&
      video.getVideoPlaybackQuality().totalVideoFrames > 0;
    const look = () => {
      const videos = [...document.querySelectorAll('[data-testid="call-tile"] video')];
      joining.tiles = videos.length;
      joining.painted = videos.filter(isPainted).length;
      joining.voices = (window.__connections ?? [])
        .flatMap((connection) => connection.getReceivers())
        .filter(({ track }) => track.kind === 'audio')
        .filter((receiver) => receiver.getSynchronizationSources().length > 0).length;
      const isComplete = joining.painted >= ${tiles} && joining.voices >= ${voices};
      if (isComplete && joining.asked !== null) joining.complete = performance.now() - joining.asked;
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  })();`;
}
