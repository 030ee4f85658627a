import { type CSSProperties, memo, type ReactNode, useState } from 'react';
import { stateOf, usePeople, usePerson, useRoomState, useSpeaks, useView } from '@madang/react';
import type { Person, ViewState } from '@madang/sdk';
import { HandIcon, PinIcon } from '../../components/call-icons';
import { MicIcon, MicOffIcon, ScreenIcon } from '../../components/icons';
import { qualityWords } from '../../lib/call-words';
import { t } from '../../texts';
import type { Rect } from './layout';
import { keyOf, type Placed } from './scene';
import { useUi, useUiState } from './ui';
import { TILE_WHY } from './words';

/** How far a picture may be from the shape of its place and still fill it: wide ones lose their sides, no faces. */
const MOST_CROPPED = { main: 1.4, tile: 2.5, corner: 2.5 };
/** Pictures that stand upright would lose heads. */
const MOST_BEHEADED = 1.35;

type TileProps = Omit<Placed, 'key'>;

/** Somebody's picture in its place. Draws again when its own person, picture or place changes, and for nothing else. */
export const CallTile = memo(function CallTile(props: TileProps): ReactNode {
  const { picture, role, rect } = props;
  const key = keyOf(picture);
  const floats = useUiState(({ floating }) => floating === key);
  const [ref, view] = useView(picture, {
    priority: role === 'main' ? 0 : 1,
    pin: role === 'main',
    always: floats,
  });
  // Of the speaker’s picture the name follows the picture, not who speaks.
  const participant = picture === 'speaker' ? view.participant : picture.participant;
  const source = picture === 'speaker' ? 'camera' : picture.source;
  const isMe = useRoomState(({ participant: me }) => me !== null && me === participant);
  const mirrored = useUiState(({ mirror }) => mirror) && isMe && source === 'camera';
  const [open, setOpen] = useState(false);
  const style: CSSProperties = {
    width: rect.width,
    height: rect.height,
    transform: `translate(${rect.x}px, ${rect.y}px)`,
  };
  return (
    <li
      className="call-tile"
      style={style}
      data-key={key}
      data-role={role}
      data-source={source}
      data-size={sizeOf(rect)}
      data-open={open || undefined}
      data-participant={participant ?? undefined}
      data-testid={isMe ? 'call-self' : 'call-tile'}
      onPointerUp={({ pointerType }) => {
        // Fingers do not hover: a touch shows what a picture can do, another one hides it.
        if (pointerType !== 'mouse') setOpen(!open);
      }}
    >
      {participant === null ? null : <Face participant={participant} source={source} />}
      <video
        ref={ref}
        data-place={role}
        data-fit={fitOf(view, rect, role, source)}
        data-mirrored={mirrored || undefined}
        data-state={view.state}
        autoPlay
        playsInline
        muted
      />
      {participant === null ? (
        <p className="call-tile-why">{t.roomWaitSpeaker}</p>
      ) : (
        <Labels participant={participant} source={source} isMe={isMe} view={view} pinKey={key} role={role} />
      )}
    </li>
  );
}, isSame);

/** Places are reckoned anew whenever anybody comes or goes, and mostly are the same. */
function isSame(a: TileProps, b: TileProps): boolean {
  const [one, other] = [a.rect, b.rect];
  return (
    keyOf(a.picture) === keyOf(b.picture) &&
    a.role === b.role &&
    one.x === other.x &&
    one.y === other.y &&
    one.width === other.width &&
    one.height === other.height
  );
}

function Labels(props: {
  participant: string;
  source: 'camera' | 'screen';
  isMe: boolean;
  view: ViewState;
  pinKey: string;
  role: Placed['role'];
}): ReactNode {
  const { participant, source, isMe, view, pinKey, role } = props;
  const ui = useUi();
  const pinned = useUiState(({ pin }) => pin === pinKey);
  const given = usePerson(participant, (person) => person?.name ?? '');
  const quality = usePerson(participant, (person) => person?.quality ?? 'good');
  const microphone = usePerson(participant, (person) => stateOf(person, 'microphone'));
  const publishes = usePerson(participant, (person) => stateOf(person, source) === 'on');
  const hand = usePeople((people) => handPlace(people, participant));
  const speaks = useSpeaks(participant) && source === 'camera';
  const name = isMe ? (given === '' ? t.roomYou : t.roomYouNamed(given)) : given === '' ? t.roomGuest : given;
  const shown = source === 'screen' ? t.roomScreenOf(name) : role === 'corner' ? t.roomYou : name;
  const why = publishes && view.state === 'missing' && view.why !== null ? TILE_WHY[view.why] : null;
  const pinLabel = pinned ? t.roomUnpin(shown) : t.roomPin(shown);
  return (
    <>
      <span className="call-tile-ring" data-speaking={speaks || undefined} data-testid="call-speaking" />
      {quality === 'lost' ? <p className="call-tile-why">{t.roomReconnecting}</p> : null}
      {why === null || quality === 'lost' ? null : <p className="call-tile-why">{why}</p>}
      <span className="call-tile-marks">
        {hand === 0 || source === 'screen' ? null : (
          <span
            className="call-hand-mark"
            role="img"
            aria-label={t.roomHand(hand)}
            data-testid="call-hand-mark"
          >
            <HandIcon />
            {hand}
          </span>
        )}
        {quality === 'good' ? null : <Bars quality={quality} />}
      </span>
      <span className="call-tile-label">
        {source === 'screen' ? <ScreenIcon /> : <Microphone state={microphone} speaks={speaks} />}
        <span className="call-who" data-testid="call-tile-name">
          {shown}
        </span>
      </span>
      {role === 'corner' ? null : (
        <button
          type="button"
          className="call-pin over-video"
          aria-pressed={pinned}
          aria-label={pinLabel}
          title={pinLabel}
          onClick={() => ui.pin(pinned ? null : pinKey)}
          onPointerUp={(event) => event.stopPropagation()}
          data-testid="call-pin"
        >
          <PinIcon />
        </button>
      )}
    </>
  );
}

function Microphone({ state, speaks }: { state: 'on' | 'off' | 'muted'; speaks: boolean }): ReactNode {
  if (state === 'on') {
    return (
      <span className="call-mic-mark" data-speaking={speaks || undefined}>
        <MicIcon />
      </span>
    );
  }
  return (
    <span
      className="call-mic-mark"
      data-off
      role="img"
      aria-label={t.roomMuted}
      data-testid="call-muted-mark"
    >
      <MicOffIcon />
    </span>
  );
}

/** Shown where a connection is worse than good: what is well needs no mark. */
function Bars({ quality }: { quality: Person['quality'] }): ReactNode {
  return (
    <span
      className="call-bars"
      data-quality={quality}
      role="img"
      aria-label={qualityWords(quality)}
      title={qualityWords(quality)}
      data-testid="call-quality"
    >
      <i />
      <i />
      <i />
    </span>
  );
}

/** Who it is while there is no picture: under the picture, which covers it. */
function Face({ participant, source }: { participant: string; source: 'camera' | 'screen' }): ReactNode {
  const name = usePerson(participant, (person) => person?.name ?? '');
  const hue = hueOf(participant);
  return (
    <span className="call-face" style={{ '--hue': hue } as CSSProperties} aria-hidden="true">
      <span className="call-avatar">{source === 'screen' ? <ScreenIcon /> : initials(name)}</span>
    </span>
  );
}

/** Its place among the hands that are up, from 1; 0 if it is down. */
function handPlace(people: ReadonlyMap<string, Person>, participant: string): number {
  const hand = people.get(participant)?.hand ?? 0;
  if (hand === 0) return 0;
  let place = 1;
  for (const other of people.values()) if ((other.hand ?? 0) > 0 && (other.hand ?? 0) < hand) place += 1;
  return place;
}

/** Screens are shown whole; faces fill their place where they lose little by it. */
function fitOf(
  view: ViewState,
  rect: Rect,
  role: Placed['role'],
  source: 'camera' | 'screen',
): 'cover' | 'contain' {
  if (source === 'screen') return 'contain';
  if (view.width === 0 || view.height === 0 || rect.height === 0) return 'cover';
  const wider = view.width / view.height / (rect.width / rect.height);
  return wider <= MOST_CROPPED[role] && 1 / wider <= MOST_BEHEADED ? 'cover' : 'contain';
}

function sizeOf({ width }: Rect): 'small' | 'medium' | 'large' {
  if (width < 180) return 'small';
  return width < 420 ? 'medium' : 'large';
}

/** One or two letters for a name; names of Hangul, Han and kana have one that tells. */
export function initials(name: string): string {
  const words = name
    .trim()
    .split(/\s+/u)
    .filter((word) => word !== '');
  const letters = words.map((word) => new Intl.Segmenter().segment(word).containing(0)?.segment ?? '');
  const first = letters[0];
  if (first === undefined) return '?';
  const last = letters.length > 1 && /^\p{Script=Latin}/u.test(first) ? (letters.at(-1) ?? '') : '';
  return (first + last).toLocaleUpperCase();
}

/** A colour that is somebody's as long as the call lasts. */
export function hueOf(participant: string): number {
  let hash = 0;
  for (const char of participant) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 9_973;
  // Ids that differ in their last letter are far apart.
  return (hash * 137) % 360;
}
