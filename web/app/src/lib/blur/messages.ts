/** What the page and the worker that blurs say to each other. */

/** To the worker. */
export type ToBlur =
  /** First: where the network is. */
  | { do: 'begin'; model: string }
  /** Frames come and go by themselves. */
  | { do: 'stream'; from: ReadableStream<VideoFrame>; to: WritableStream<VideoFrame> }
  /** One picture, answered with another one. */
  | { do: 'picture'; picture: ImageBitmap };

/** From the worker. */
export type FromBlur =
  { is: 'ready' } | { is: 'failed'; why: string } | { is: 'picture'; picture: ImageBitmap };
