import type { Outcome, Person, ReactionKind, WhyMissing } from '@madang/sdk';
import { t } from '../../texts';

type Quality = Person['quality'];

/** How good the connection of somebody is. */
export const QUALITY: Readonly<Record<Quality, string>> = {
  good: t.roomQualityGood,
  fair: t.roomQualityFair,
  poor: t.roomQualityPoor,
  lost: t.roomQualityLost,
};

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

/** A name to show for somebody, as others know it. */
export function nameOf(person: Person | undefined): string {
  return person === undefined || person.name === '' ? t.roomGuest : person.name;
}

/** Why a command was not done; null if it was. */
export function outcomeWords(outcome: Outcome): string | null {
  if (outcome.sent) return null;
  switch (outcome.reason) {
    case 'right':
      return t.roomRefusedRight;
    case 'rate':
      return t.roomRefusedRate;
    case 'lost':
      return t.roomRefusedLost;
    default:
      return t.roomRefused;
  }
}
