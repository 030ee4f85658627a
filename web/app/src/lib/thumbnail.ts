const WIDTH = 320;
const HEIGHT = 180;
/** A track that shows nothing within this time gives no picture. */
const FRAME_MS = 3_000;

/** The present picture of a video track as a JPEG of 320 x 180, the whole picture on black. */
export async function takePicture(track: MediaStreamTrack): Promise<Blob | null> {
  const video = document.createElement('video');
  video.muted = true;
  video.playsInline = true;
  video.srcObject = new MediaStream([track]);
  try {
    await Promise.race([
      video.play(),
      new Promise<never>((_, reject) => setTimeout(() => reject(new Error('no frame')), FRAME_MS)),
    ]);
    return await draw(video);
  } finally {
    video.srcObject = null;
  }
}

function draw(video: HTMLVideoElement): Promise<Blob | null> {
  const canvas = document.createElement('canvas');
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = canvas.getContext('2d');
  const { videoWidth, videoHeight } = video;
  if (context === null || videoWidth === 0 || videoHeight === 0) return Promise.resolve(null);
  const scale = Math.min(WIDTH / videoWidth, HEIGHT / videoHeight);
  const [width, height] = [videoWidth * scale, videoHeight * scale];
  context.fillRect(0, 0, WIDTH, HEIGHT);
  context.drawImage(video, (WIDTH - width) / 2, (HEIGHT - height) / 2, width, height);
  return new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.75));
}
