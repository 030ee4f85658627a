import { type ComponentProps, memo, type ReactNode } from 'react';
import type { PictureOf, Quality, ViewState, WhyMissing } from '@madang/sdk';
import { stateOf, usePerson, useRoomState, useSpeaks } from './room.js';
import { type PictureOptions, useView } from './view.js';

/** What a tile says. */
export interface TileWords {
  /** Whoever has no name. */
  guest: string;
  /** The name of one's own tile. */
  you: (name: string) => string;
  /** The name of a shared screen. */
  screen: (name: string) => string;
  microphone: Readonly<Record<'off' | 'muted', string>>;
  hand: string;
  quality: Readonly<Record<Quality, string>>;
  /** Why there is no picture of a camera that is on. */
  missing: Readonly<Record<WhyMissing, string>>;
}

/** A mark of a tile; `value` is which. */
export type Mark =
  | { mark: 'microphone'; value: 'off' | 'muted' }
  | { mark: 'hand'; value: 'up' }
  | { mark: 'quality'; value: Quality };

export interface TileProps extends PictureOptions {
  participant: string;
  source?: 'camera' | 'screen';
  words: TileWords;
  className?: string;
  /** Draws a mark; what it returns stands beside the words, which only screen readers get. */
  icon?: (mark: Mark) => ReactNode;
  /** Controls over the picture. */
  children?: ReactNode;
}

/**
 * Somebody's picture, name and marks. Each part draws itself when what it shows changes, and nothing else does. Styled
 * by `data-*`: `data-speaking` on the tile, `data-state` on the picture, `data-mark` and `data-value` on marks.
 */
export const Tile = memo(function Tile(props: TileProps): ReactNode {
  const { participant, source = 'camera', words, className, icon, children, ...options } = props;
  const speaks = useSpeaks(participant);
  const isMe = useRoomState(({ participant: me }) => me === participant);
  return (
    <div
      className={className}
      data-participant={participant}
      data-source={source}
      data-self={isMe || undefined}
      data-speaking={(speaks && source === 'camera') || undefined}
      data-testid="tile"
    >
      <Picture
        why={words.missing}
        participant={participant}
        source={source}
        mirrored={isMe && source === 'camera'}
        {...options}
      />
      <Name participant={participant} source={source} words={words} isMe={isMe} />
      {source === 'camera' ? <Marks participant={participant} words={words} icon={icon} /> : null}
      {children}
    </div>
  );
});

export type PictureProps = PictureOptions & {
  className?: string;
  /** As in a mirror: one's own camera. */
  mirrored?: boolean;
  /** Says why there is no picture. */
  why?: TileWords['missing'];
} & (Exclude<PictureOf, string> | { participant: 'speaker'; source?: 'camera' });

/** A picture of the room in a `<video>`; `data-state` says what it shows ({@link ViewState}). */
export const Picture = memo(function Picture(props: PictureProps): ReactNode {
  const { participant, source = 'camera', className, mirrored = false, why, ...options } = props;
  const [ref, view] = useView(participant === 'speaker' ? participant : { participant, source }, options);
  return (
    <>
      <PictureElement ref={ref} view={view} className={className} mirrored={mirrored} />
      {view.why === null || why === undefined ? null : <span data-part="why">{why[view.why]}</span>}
    </>
  );
});

function PictureElement(
  props: Pick<ComponentProps<'video'>, 'ref'> & {
    view: ViewState;
    className: string | undefined;
    mirrored: boolean;
  },
): ReactNode {
  const { ref, view, className, mirrored } = props;
  return (
    <video
      ref={ref}
      className={className}
      // Here alone: others see it as it was taken.
      style={mirrored ? { transform: 'scaleX(-1)' } : undefined}
      data-state={view.state}
      data-why={view.why ?? undefined}
      autoPlay
      playsInline
      muted
    />
  );
}

function Name(props: {
  participant: string;
  source: 'camera' | 'screen';
  words: TileWords;
  isMe: boolean;
}): ReactNode {
  const { participant, source, words, isMe } = props;
  const given = usePerson(participant, (person) => person?.name ?? '');
  const name = given === '' ? words.guest : given;
  const whole = isMe ? words.you(name) : name;
  return <span data-part="name">{source === 'screen' ? words.screen(whole) : whole}</span>;
}

function Marks(props: {
  participant: string;
  words: TileWords;
  icon: ((mark: Mark) => ReactNode) | undefined;
}): ReactNode {
  const { participant, words, icon } = props;
  const microphone = usePerson(participant, (person) => stateOf(person, 'microphone'));
  const hand = usePerson(participant, (person) => (person?.hand ?? 0) > 0);
  const quality = usePerson(participant, (person) => person?.quality ?? 'good');
  const draw = (mark: Mark, word: string): ReactNode => (
    <span data-mark={mark.mark} data-value={mark.value} role="img" aria-label={word} title={word}>
      {icon?.(mark)}
    </span>
  );
  return (
    <span data-part="marks">
      {hand ? draw({ mark: 'hand', value: 'up' }, words.hand) : null}
      {microphone === 'on'
        ? null
        : draw({ mark: 'microphone', value: microphone }, words.microphone[microphone])}
      {draw({ mark: 'quality', value: quality }, words.quality[quality])}
    </span>
  );
}
