import { type ReactNode, useEffect, useRef, useState } from 'react';
import { RoomProvider, useFullscreen, useMedia, useRoomState } from '@madang/react';
import { type Room, thisMachine } from '@madang/sdk';
import { CallChat } from '../../components/chat/call-chat';
import { DeviceNotices } from '../../components/device-notices';
import { PeoplePanel } from '../../components/people-panel';
import { t } from '../../texts';
import { Actions } from './actions';
import { CallBar } from './bar';
import { Dialogs } from './dialogs';
import { useShortcuts, useWakeLock } from './hooks';
import { Announcer, Banner, FloatingReactions, OwnNotices } from './over';
import { usePicture } from './picture';
import type { Means } from './scene';
import { CallStage } from './stage';
import { Ui, UiProvider, useUi, useUiState } from './ui';

/** What fits on a phone in either direction. */
const SMALL = '(max-width: 640px), (max-height: 480px)';
const DESK_MEANS: Means = { tiles: 12, screens: 2, small: false };
const PHONE_MEANS: Means = { tiles: 6, screens: 1, small: true };
/** A large phone has the slots of a phone. */
const LARGE_MEANS: Means = thisMachine().phone ? { ...PHONE_MEANS, small: false } : DESK_MEANS;

/** The page of somebody who is in a call. */
export function CallRoom({ room, onLeave }: { room: Room; onLeave: () => void }): ReactNode {
  const [ui] = useState(() => new Ui());
  useEffect(() => () => ui.close(), [ui]);
  return (
    <RoomProvider value={room}>
      <UiProvider value={ui}>
        <Inside room={room} onLeave={onLeave} />
      </UiProvider>
    </RoomProvider>
  );
}

function Inside({ room, onLeave }: { room: Room; onLeave: () => void }): ReactNode {
  const ui = useUi();
  const frame = useRef<HTMLDivElement>(null);
  const [actions] = useState(() => new Actions(room, ui));
  const state = useRoomState(({ call }) => call);
  const panel = useUiState((now) => now.panel);
  const small = useMedia(SMALL);
  const means = small ? PHONE_MEANS : LARGE_MEANS;
  const [full, toggleFull] = useFullscreen(() => frame.current);
  const [picture, smallCall] = usePicture(actions, onLeave);
  useWakeLock();
  useShortcuts(actions, (shortcut) => {
    switch (shortcut) {
      case 'microphone':
      case 'camera':
      case 'screen':
      case 'hand':
      case 'view':
        actions[shortcut]();
        return true;
      case 'people':
      case 'chat':
        ui.toggle(shortcut);
        return true;
      case 'board':
        ui.set({ board: !ui.store.getState().board });
        return true;
      case 'fullscreen':
        toggleFull();
        return true;
      case 'picture':
        picture?.toggle();
        return picture !== null;
      case 'help':
        ui.set({ dialog: 'shortcuts' });
        return true;
      case 'next':
        return ui.turn(1);
      case 'previous':
        return ui.turn(-1);
      case 'close': {
        const { panel: open } = ui.store.getState();
        ui.set({ panel: null });
        return open !== null;
      }
    }
  });
  const closePanel = (): void => ui.set({ panel: null });
  return (
    <div
      className="call-room call-night"
      ref={frame}
      data-panel={panel ?? undefined}
      data-testid="call"
      data-state={state}
    >
      <h1 className="visually-hidden">{t.callTitle}</h1>
      <div className="call-main">
        <Banner />
        <CallStage means={means} />
        <FloatingReactions />
        <div className="call-over">
          <OwnNotices actions={actions} />
          <DeviceNotices />
          <Announcer />
        </div>
      </div>
      {panel === null ? null : (
        <aside className="call-side" aria-label={panel === 'people' ? t.roomPeople : t.roomChat}>
          {panel === 'people' ? <PeoplePanel onClose={closePanel} /> : <CallChat onClose={closePanel} />}
        </aside>
      )}
      <CallBar actions={actions} controls={{ full, toggleFull, picture, leave: onLeave }} small={small} />
      <Dialogs />
      {smallCall}
    </div>
  );
}
