// The WebSockets of a page, which can be cut without a word while all else of the page goes on.

/** As an init script. */
export const cuttableSockets = `(${socketsPage.toString()})();`;

/** What it leaves in the page. */
export interface Sockets {
  /** Nothing passes any more, either way, and no new one opens. */
  cut(): void;
  heal(): void;
  /** How often the page has tried to open a new one while they were cut: it has noticed. */
  tries(): number;
}

/** Runs in the page, as text: it may use nothing from outside. */
function socketsPage(): void {
  let isCut = false;
  let tries = 0;
  const Native = window.WebSocket;
  window.WebSocket = class extends Native {
    constructor(url: string | URL, protocols?: string | string[]) {
      // To a path where nobody speaks it: another host would be refused by the page's own policy, at once.
      super(isCut ? new URL('/nobody', url) : url, protocols);
      if (isCut) tries += 1;
      this.addEventListener('message', (event) => isCut && event.stopImmediatePropagation());
    }

    override send(data: string | Blob | BufferSource): void {
      if (!isCut) super.send(data);
    }
  };
  const sockets: Sockets = {
    cut: () => (isCut = true),
    heal: () => (isCut = false),
    tries: () => tries,
  };
  (window as unknown as { __sockets: Sockets }).__sockets = sockets;
}
