/** Where an element is on the screen, as far as it matters for what is sent for it. */
interface Seen {
  /** Physical pixels; null before anybody has asked, or the browser said it. */
  height: number | null;
  visible: boolean;
}

/** Pages that are behind another one keep their pictures for a moment: whoever comes back at once sees them at once. */
const HIDDEN_AFTER_MS = 1_000;

/** Follows the size and the visibility of elements, and whether the page itself is seen. */
export class Eyes {
  private readonly seen = new Map<Element, Seen>();
  private readonly sizes: ResizeObserver;
  private readonly sights: IntersectionObserver;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private pageVisible = document.visibilityState !== 'hidden';

  constructor(private readonly changed: () => void) {
    this.sizes = new ResizeObserver((entries) => {
      for (const { target } of entries) this.change(target, { height: measure(target) });
    });
    this.sights = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) this.change(target, { visible: isIntersecting });
    });
    document.addEventListener('visibilitychange', this.onVisibility);
  }

  /**
   * Looks at an element until {@link forget}. Seen until its observers say otherwise, a moment later. It is not measured
   * yet: a page that has just put a dozen elements in their places would have to lay them out there and then.
   */
  look(element: Element): void {
    this.seen.set(element, { height: null, visible: true });
    this.sizes.observe(element);
    this.sights.observe(element);
  }

  forget(element: Element): void {
    this.seen.delete(element);
    this.sizes.unobserve(element);
    this.sights.unobserve(element);
  }

  isVisible(element: Element): boolean {
    return this.pageVisible && this.seen.get(element)?.visible === true;
  }

  /** Physical pixels; 0 of what is not looked at. */
  heightOf(element: Element): number {
    const known = this.seen.get(element);
    if (known === undefined) return 0;
    known.height ??= measure(element);
    return known.height;
  }

  close(): void {
    clearTimeout(this.timer);
    document.removeEventListener('visibilitychange', this.onVisibility);
    this.sizes.disconnect();
    this.sights.disconnect();
    this.seen.clear();
  }

  private readonly onVisibility = (): void => {
    clearTimeout(this.timer);
    const visible = document.visibilityState !== 'hidden';
    const set = (): void => {
      this.pageVisible = visible;
      this.changed();
    };
    if (visible) set();
    else this.timer = setTimeout(set, HIDDEN_AFTER_MS);
  };

  private change(element: Element, change: Partial<Seen>): void {
    const known = this.seen.get(element);
    if (known === undefined) return;
    this.seen.set(element, { ...known, ...change });
    this.changed();
  }
}

function measure(element: Element): number {
  return Math.round(element.clientHeight * devicePixelRatio);
}
