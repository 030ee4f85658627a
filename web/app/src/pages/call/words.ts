import type { ReactionKind, WhyMissing } from '@madang/sdk';
import { t } from '../../texts';

/** Why a picture that is published is not to be seen; nothing where that needs no word. */
export const TILE_WHY: Readonly<Record<WhyMissing, string | null>> = {
  absent: null,
  slots: t.roomTileWhySlots,
  kind: t.roomTileWhyKind,
  codec: t.roomTileWhyCodec,
  line: t.roomTileWhyLine,
};

/** Reactions in the order in which they are offered. */
export const REACTIONS: readonly { kind: ReactionKind; name: string }[] = [
  { kind: 'like', name: t.roomReactionLike },
  { kind: 'applause', name: t.roomReactionApplause },
  { kind: 'heart', name: t.roomReactionHeart },
  { kind: 'laugh', name: t.roomReactionLaugh },
  { kind: 'party', name: t.roomReactionParty },
  { kind: 'surprise', name: t.roomReactionSurprise },
  { kind: 'sad', name: t.roomReactionSad },
  { kind: 'dislike', name: t.roomReactionDislike },
];
