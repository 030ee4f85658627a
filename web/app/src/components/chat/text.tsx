import { memo, type ReactNode } from 'react';
import { piecesOf } from '../../lib/links';

/** A text with its links. A link goes to a page that learns nothing of this one. */
export const ChatText = memo(function ChatText({ text }: { text: string }): ReactNode {
  return piecesOf(text).map((piece, index) =>
    typeof piece === 'string' ? (
      piece
    ) : (
      <a
        key={index}
        className="chat-link"
        href={piece.href}
        target="_blank"
        rel="noopener noreferrer nofollow ugc"
        referrerPolicy="no-referrer"
        title={piece.href}
      >
        {piece.shown}
      </a>
    ),
  );
});
