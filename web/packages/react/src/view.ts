import { type RefCallback, useCallback, useEffect, useState } from 'react';
import type { PictureOf, Store, View, ViewOptions, ViewState } from '@madang/sdk';
import { useRoom } from './room.js';
import { useStoreValue } from './store.js';

/** What a view is asked for besides its element. */
export type PictureOptions = Omit<ViewOptions, 'el'>;

const NOTHING: ViewState = { state: 'off', participant: null, why: null, width: 0, height: 0 };
const NONE: Store<ViewState> = { get: () => NOTHING, subscribe: () => () => undefined };

/** Shows a picture in the `<video>` that gets the ref, and says what it shows. */
export function useView(
  picture: PictureOf,
  { priority, pin = false, always = false }: PictureOptions = {},
): [RefCallback<HTMLVideoElement>, ViewState] {
  const room = useRoom();
  const [view, setView] = useState<View | null>(null);
  const participant = picture === 'speaker' ? null : picture.participant;
  const source = picture === 'speaker' ? 'camera' : picture.source;
  const ref = useCallback(
    (el: HTMLVideoElement) => {
      const opened = room.view(participant === null ? 'speaker' : { participant, source }, { el });
      setView(opened);
      return () => {
        opened.close();
        setView((current) => (current === opened ? null : current));
      };
    },
    [room, participant, source],
  );
  useEffect(() => {
    view?.change({ pin, always, ...(priority === undefined ? {} : { priority }) });
  }, [view, priority, pin, always]);
  return [ref, useStoreValue(view?.state ?? NONE)];
}
