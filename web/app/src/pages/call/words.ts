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
export const REACTIONS: readonly { kind: ReactionKind; emoji: string; name: string }[] = [
  { kind: 'like', emoji: '👍', name: t.roomReactionLike },
  { kind: 'applause', emoji: '👏', name: t.roomReactionApplause },
  { kind: 'heart', emoji: '❤️', name: t.roomReactionHeart },
  { kind: 'laugh', emoji: '😂', name: t.roomReactionLaugh },
  { kind: 'party', emoji: '🎉', name: t.roomReactionParty },
  { kind: 'surprise', emoji: '😮', name: t.roomReactionSurprise },
  { kind: 'sad', emoji: '😢', name: t.roomReactionSad },
  { kind: 'dislike', emoji: '👎', name: t.roomReactionDislike },
];
