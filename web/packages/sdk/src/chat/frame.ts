/** A page that is not drawn, or seldom, takes what has come after this time all the same. */
const HIDDEN_MS = 250;

/** Calls `draw` before the page is drawn next, or soon where it is not drawn; the returned function calls it off. */
export function nextFrame(draw: () => void): () => void {
  let frame: number | null = null;
  const cancel = (): void => {
    clearTimeout(timer);
    if (frame !== null) cancelAnimationFrame(frame);
  };
  const once = (): void => {
    cancel();
    draw();
  };
  const timer = setTimeout(once, HIDDEN_MS);
  if (typeof requestAnimationFrame === 'function') frame = requestAnimationFrame(once);
  return cancel;
}
