/** So many images are kept; more are loaded again when they come into sight. */
const MOST_KEPT = 200;
/** What could not be loaded is tried again after this time, in milliseconds. */
const TRY_AGAIN_MS = 10_000;

/** The images of a board, loaded when they are first drawn. */
export class Pictures {
  private readonly known = new Map<string, HTMLImageElement>();
  private readonly failed = new Map<string, number>();

  constructor(
    private readonly url: (id: string) => string,
    /** An image is there. */
    private readonly loaded: (id: string) => void,
  ) {}

  readonly get = (id: string): HTMLImageElement | null => {
    const known = this.known.get(id);
    if (known !== undefined) return known.complete && known.naturalWidth > 0 ? known : null;
    const failed = this.failed.get(id);
    if (id === '' || (failed !== undefined && Date.now() - failed < TRY_AGAIN_MS)) return null;
    this.failed.delete(id);
    const image = new Image();
    // Without it a canvas with an image of another origin could not be exported.
    image.crossOrigin = 'anonymous';
    image.onload = () => this.loaded(id);
    image.onerror = () => {
      this.known.delete(id);
      this.failed.set(id, Date.now());
    };
    image.src = this.url(id);
    if (this.known.size >= MOST_KEPT) {
      const [oldest] = this.known.keys();
      if (oldest !== undefined) this.known.delete(oldest);
    }
    this.known.set(id, image);
    return null;
  };

  /** Loads images and waits: for an export. Those that do not come are left out. */
  async all(ids: Iterable<string>): Promise<Map<string, HTMLImageElement>> {
    const images = new Map<string, HTMLImageElement>();
    for (const id of new Set(ids)) {
      const image = new Image();
      image.crossOrigin = 'anonymous';
      image.src = this.url(id);
      await image.decode().then(
        () => images.set(id, image),
        () => undefined,
      );
    }
    return images;
  }
}

/** What the server takes. */
const TAKEN = ['image/png', 'image/jpeg', 'image/webp'];
const MOST_BYTES = 5 * 1024 * 1024;
const LONGEST_SIDE = 4_096;
const SHRUNK_SIDE = 2_048;

/** Whether a file can become an image of a board. */
export function isPicture({ type }: Blob): boolean {
  return TAKEN.includes(type) || type === 'image/svg+xml' || type === 'image/gif' || type === 'image/avif';
}

/** An image as the server takes it: what is too large is made smaller, what is no bitmap is drawn. */
export async function prepared(file: Blob): Promise<Blob> {
  const url = URL.createObjectURL(file);
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const [width, height] = [image.naturalWidth || 512, image.naturalHeight || 512];
    const longest = Math.max(width, height);
    if (TAKEN.includes(file.type) && file.size <= MOST_BYTES && longest <= LONGEST_SIDE) return file;
    const scale = Math.min(1, SHRUNK_SIDE / longest);
    const canvas = document.createElement('canvas');
    canvas.width = Math.max(1, Math.round(width * scale));
    canvas.height = Math.max(1, Math.round(height * scale));
    canvas.getContext('2d')?.drawImage(image, 0, 0, canvas.width, canvas.height);
    const kind = file.type === 'image/jpeg' ? 'image/jpeg' : 'image/png';
    const drawn = await blobOf(canvas, kind);
    return drawn.size <= MOST_BYTES ? drawn : await blobOf(canvas, 'image/jpeg');
  } finally {
    URL.revokeObjectURL(url);
  }
}

export function blobOf(canvas: HTMLCanvasElement, type: string): Promise<Blob> {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob === null ? reject(new Error('no picture')) : resolve(blob)), type, 0.88);
  });
}
