import { type ComponentProps, type ReactNode, useEffect, useRef } from 'react';
import { usePeople, useRoom, useRoomState, useStoreValue } from '@madang/react';
import { canShareScreen, type Device } from '@madang/sdk';
import { BoardIcon } from '../../components/board/icons';
import { useUnread } from '../../components/chat/call-chat';
import {
  BlockedIcon,
  ChatIcon,
  GridIcon,
  HandIcon,
  KeyboardIcon,
  LeaveIcon,
  MoreIcon,
  PeopleIcon,
  PictureIcon,
  SettingsIcon,
  SmileIcon,
  SpeakerViewIcon,
} from '../../components/call-icons';
import { DeviceMenu } from '../../components/device-settings';
import {
  CameraIcon,
  CameraOffIcon,
  ChartIcon,
  EyeIcon,
  FullscreenExitIcon,
  FullscreenIcon,
  LinkIcon,
  MicIcon,
  MicOffIcon,
  ScreenIcon,
  ScreenOffIcon,
  SwapIcon,
} from '../../components/icons';
import { Menu, type MenuItem } from '../../components/menu';
import { ReactionSign } from '../../components/reaction-sign';
import { copyText } from '../../lib/hooks';
import { t } from '../../texts';
import type { Actions } from './actions';
import { useUi, useUiState } from './ui';
import { REACTIONS } from './words';

/** What the page can do that is not the call's. */
export interface PageControls {
  full: boolean;
  toggleFull: () => void;
  /** Null where the browser has none. */
  picture: { open: boolean; toggle: () => void } | null;
  leave: () => void;
}

/** Everything that a person does in a call. On a phone most of it folds into "more". */
export function CallBar(props: { actions: Actions; controls: PageControls; small: boolean }): ReactNode {
  const { actions, controls, small } = props;
  return (
    <div className="call-bar" role="toolbar" aria-label={t.roomControls} data-small={small || undefined}>
      <div className="call-bar-part" data-part="own">
        <MicrophoneControl actions={actions} small={small} />
        <CameraControl actions={actions} small={small} />
        {small ? null : <ScreenControl actions={actions} />}
        <HandControl actions={actions} />
        {small ? null : <ReactControl actions={actions} />}
      </div>
      <div className="call-bar-part" data-part="page">
        {small ? null : <ViewMenu actions={actions} />}
        {small ? null : <BoardControl />}
        {small ? null : <PeopleControl />}
        <ChatControl />
        <MoreMenu actions={actions} controls={controls} small={small} />
      </div>
      <button
        type="button"
        className="call-control leave"
        onClick={controls.leave}
        aria-label={t.roomLeave}
        title={t.roomLeave}
        data-testid="call-leave"
      >
        <LeaveIcon />
      </button>
    </div>
  );
}

function MicrophoneControl({ actions, small }: { actions: Actions; small: boolean }): ReactNode {
  const room = useRoom();
  const ui = useUi();
  return (
    <span className="call-device">
      <DeviceControl
        device={room.me.mic}
        kind="microphone"
        onToggle={actions.microphone}
        icons={[MicIcon, MicOffIcon]}
        words={{
          on: t.roomMicOn,
          off: t.roomMicOff,
          blocked: t.roomMicBlocked,
          notAllowed: t.roomMicNotAllowed,
        }}
        shortcut="M"
      >
        <Level />
      </DeviceControl>
      {small ? null : <DeviceMenu kind="microphone" onSettings={() => ui.set({ dialog: 'settings' })} />}
    </span>
  );
}

function CameraControl({ actions, small }: { actions: Actions; small: boolean }): ReactNode {
  const room = useRoom();
  const ui = useUi();
  return (
    <span className="call-device">
      <DeviceControl
        device={room.me.camera}
        kind="camera"
        onToggle={actions.camera}
        icons={[CameraIcon, CameraOffIcon]}
        words={{
          on: t.roomCameraOn,
          off: t.roomCameraOff,
          blocked: t.roomCameraBlocked,
          notAllowed: t.roomCameraNotAllowed,
        }}
        shortcut="V"
      />
      {small ? null : <DeviceMenu kind="camera" onSettings={() => ui.set({ dialog: 'settings' })} />}
    </span>
  );
}

function DeviceControl(props: {
  device: Device;
  kind: 'microphone' | 'camera';
  onToggle: () => void;
  icons: [() => ReactNode, () => ReactNode];
  words: { on: string; off: string; blocked: string; notAllowed: string };
  shortcut: string;
  children?: ReactNode;
}): ReactNode {
  const { device, kind, onToggle, icons, words, shortcut, children } = props;
  const { state, allowed } = useStoreValue(device.state);
  const isOn = state === 'on' || state === 'starting';
  const [On, Off] = icons;
  const label = isOn ? words.off : words.on;
  const obstacle = allowed ? (state === 'blocked' ? words.blocked : null) : words.notAllowed;
  return (
    <button
      type="button"
      className="call-control"
      aria-label={obstacle === null ? label : `${obstacle}. ${label}`}
      title={obstacle ?? `${label} (${shortcut})`}
      aria-pressed={isOn}
      aria-disabled={!allowed || undefined}
      aria-busy={state === 'starting' || undefined}
      data-on={isOn}
      data-state={allowed ? state : 'not-allowed'}
      onClick={onToggle}
      data-testid={`call-${kind}`}
    >
      {children}
      {isOn ? <On /> : <Off />}
      {obstacle === null ? null : (
        <span className="call-control-mark">
          <BlockedIcon />
        </span>
      )}
    </button>
  );
}

/** How loud it is, around the button; drawn past React, as it changes all the time. */
function Level(): ReactNode {
  const { mic } = useRoom().me;
  const ring = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    const draw = (): void => {
      const level = mic.state.get().state === 'on' ? Math.min(1, mic.level.get() * 2) : 0;
      ring.current?.style.setProperty('--level', level.toFixed(2));
    };
    const ends = [mic.level.subscribe(draw), mic.state.subscribe(draw)];
    return () => ends.forEach((end) => end());
  }, [mic]);
  return <span className="call-level" ref={ring} aria-hidden="true" />;
}

function ScreenControl({ actions }: { actions: Actions }): ReactNode {
  const { state, allowed } = useStoreValue(useRoom().me.screen.state);
  if (!canShareScreen()) return null;
  const isOn = state === 'on' || state === 'starting';
  const label = isOn ? t.roomScreenOff : t.roomScreenOn;
  return (
    <button
      type="button"
      className="call-control"
      aria-label={allowed ? label : t.roomScreenNotAllowed}
      title={allowed ? `${label} (S)` : t.roomScreenNotAllowed}
      aria-pressed={isOn}
      aria-disabled={!allowed || undefined}
      data-active={isOn || undefined}
      onClick={actions.screen}
      data-testid="call-screen"
    >
      {isOn ? <ScreenOffIcon /> : <ScreenIcon />}
    </button>
  );
}

function useIsHandUp(): boolean {
  const me = useRoomState(({ participant }) => participant);
  return usePeople((people) => me !== null && (people.get(me)?.hand ?? 0) > 0);
}

function HandControl({ actions }: { actions: Actions }): ReactNode {
  const isUp = useIsHandUp();
  const label = isUp ? t.roomHandDown : t.roomHandUp;
  return (
    <button
      type="button"
      className="call-control"
      aria-label={label}
      title={`${label} (H)`}
      aria-pressed={isUp}
      data-active={isUp || undefined}
      onClick={actions.hand}
      data-testid="call-hand"
    >
      <HandIcon />
    </button>
  );
}

function ReactControl({ actions }: { actions: Actions }): ReactNode {
  return (
    <Menu
      label={t.roomReact}
      button={<SmileIcon />}
      className="call-control"
      items={[]}
      signs={reactionSigns(actions)}
      testId="call-react"
    />
  );
}

type Signs = NonNullable<ComponentProps<typeof Menu>['signs']>;

function reactionSigns(actions: Actions): Signs {
  return REACTIONS.map(({ kind, name }) => ({
    key: kind,
    sign: <ReactionSign kind={kind} />,
    label: name,
    onSelect: () => actions.react(kind),
    testId: `call-react-${kind}`,
  }));
}

/** The ways to see the call, as items of a menu. */
function useViewItems(actions: Actions): MenuItem[] {
  const ui = useUi();
  const view = useUiState((state) => state.view);
  const pin = useUiState((state) => state.pin);
  const away = useUiState((state) => state.away);
  // Drawn again when somebody begins or ends to share.
  const screens = usePeople(() => actions.screens());
  const onScreens = pin === null && screens.some((key) => !away.has(key));
  const item = (kind: 'grid' | 'speaker', label: string, icon: ReactNode): MenuItem => ({
    key: kind,
    label,
    icon,
    checked: !onScreens && pin === null && view === kind,
    onSelect: () => ui.view(kind, screens),
    testId: `call-view-${kind}`,
  });
  const screen: MenuItem = {
    key: 'screen',
    label: t.roomScreenView,
    icon: <ScreenIcon />,
    checked: onScreens,
    onSelect: () => ui.viewScreens(),
    testId: 'call-view-screen',
  };
  return [
    item('grid', t.roomGrid, <GridIcon />),
    item('speaker', t.roomSpeaker, <SpeakerViewIcon />),
    ...(screens.length > 0 ? [screen] : []),
  ];
}

function ViewMenu({ actions }: { actions: Actions }): ReactNode {
  const items = useViewItems(actions);
  const view = useUiState((state) => state.view);
  return (
    <Menu
      label={t.roomView}
      button={view === 'grid' ? <GridIcon /> : <SpeakerViewIcon />}
      className="call-control plain"
      items={items}
      testId="call-view"
    />
  );
}

function BoardControl(): ReactNode {
  const ui = useUi();
  const open = useUiState(({ board }) => board);
  const label = open ? t.boardClose : t.boardOpen;
  return (
    <button
      type="button"
      className="call-control plain"
      aria-label={t.board}
      title={`${label} (W)`}
      aria-pressed={open}
      onClick={() => ui.set({ board: !open })}
      data-testid="call-board"
    >
      <BoardIcon />
    </button>
  );
}

function PeopleControl(): ReactNode {
  const ui = useUi();
  const open = useUiState(({ panel }) => panel === 'people');
  const count = usePeople((people) => people.size);
  return (
    <button
      type="button"
      className="call-control plain"
      aria-label={`${t.roomPeople}: ${count}`}
      title={`${t.roomPeople} (P)`}
      aria-pressed={open}
      onClick={() => ui.toggle('people')}
      data-testid="call-people"
    >
      <PeopleIcon />
      <span className="call-count" aria-hidden="true">
        {count}
      </span>
    </button>
  );
}

function ChatControl(): ReactNode {
  const ui = useUi();
  const open = useUiState(({ panel }) => panel === 'chat');
  const unread = useUnread();
  return (
    <button
      type="button"
      className="call-control plain"
      aria-label={unread > 0 ? `${t.roomChat}: ${t.roomUnread(unread)}` : t.roomChat}
      title={`${t.roomChat} (C)`}
      aria-pressed={open}
      onClick={() => ui.toggle('chat')}
      data-testid="call-chat"
    >
      <ChatIcon />
      {unread > 0 ? (
        <span className="call-count unread" aria-hidden="true">
          {unread > 99 ? '99+' : unread}
        </span>
      ) : null}
    </button>
  );
}

function MoreMenu(props: { actions: Actions; controls: PageControls; small: boolean }): ReactNode {
  const { actions, controls, small } = props;
  const { full, toggleFull, picture } = controls;
  const room = useRoom();
  const ui = useUi();
  const views = useViewItems(actions);
  const selfView = useUiState((state) => state.selfView);
  const mirror = useUiState((state) => state.mirror);
  const board = useUiState((state) => state.board);
  const count = usePeople((people) => people.size);
  const sharing = useStoreValue(room.me.screen.state, ({ state }) => state === 'on' || state === 'starting');
  const plain = (key: string, label: string, icon: ReactNode, onSelect: () => void): MenuItem => ({
    key,
    label,
    icon,
    onSelect,
    testId: `call-${key}`,
  });
  const copy = (): void => {
    copyText(`${location.origin}/call/${room.group}`).then(
      () => ui.say(t.roomLinkCopied),
      () => ui.say(t.roomRefused),
    );
  };
  const folded: MenuItem[] = [
    ...(canShareScreen()
      ? [
          plain(
            'screen',
            sharing ? t.roomScreenOff : t.roomScreenOn,
            sharing ? <ScreenOffIcon /> : <ScreenIcon />,
            actions.screen,
          ),
        ]
      : []),
    plain('board', board ? t.boardClose : t.boardOpen, <BoardIcon />, () => ui.set({ board: !board })),
    plain('people', `${t.roomPeople} (${count})`, <PeopleIcon />, () => ui.toggle('people')),
    ...views,
  ];
  const items: MenuItem[] = [
    ...(small ? folded : []),
    plain('copy-link', t.roomCopyLink, <LinkIcon />, copy),
    ...(picture === null
      ? []
      : [
          plain('picture', picture.open ? t.roomPictureExit : t.roomPicture, <PictureIcon />, picture.toggle),
        ]),
    plain(
      'fullscreen',
      full ? t.roomFullscreenExit : t.roomFullscreen,
      full ? <FullscreenExitIcon /> : <FullscreenIcon />,
      toggleFull,
    ),
    plain('self-view', selfView ? t.roomSelfHide : t.roomSelfShow, <EyeIcon />, () =>
      ui.set({ selfView: !selfView }),
    ),
    { ...plain('mirror', t.roomMirror, <SwapIcon />, () => ui.set({ mirror: !mirror })), checked: mirror },
    plain('settings', t.roomSettings, <SettingsIcon />, () => ui.set({ dialog: 'settings' })),
    plain('statistics', t.roomStatistics, <ChartIcon />, () => ui.set({ dialog: 'statistics' })),
    ...(small
      ? []
      : [plain('shortcuts', t.roomShortcuts, <KeyboardIcon />, () => ui.set({ dialog: 'shortcuts' }))]),
  ];
  return (
    <Menu
      label={t.roomMore}
      button={<MoreIcon />}
      className="call-control plain"
      items={items}
      signs={small ? reactionSigns(actions) : []}
      testId="call-more"
    />
  );
}
