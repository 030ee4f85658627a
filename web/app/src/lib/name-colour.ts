/** How many colours there are for names; `chat.css` has them. */
export const NAME_COLOURS = 12;

/** Which colour somebody’s name has: the same for everybody, every time. */
export function nameColour(person: string): number {
  // FNV-1a: near ids get colours far from each other.
  let hash = 0x811c9dc5;
  for (let at = 0; at < person.length; at += 1) hash = Math.imul(hash ^ person.charCodeAt(at), 0x01000193);
  return (hash >>> 8) % NAME_COLOURS;
}
