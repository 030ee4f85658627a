/** Base64 of bytes, as the wire has them. */
export function toBase64(bytes: Uint8Array): string {
  let text = '';
  // As arguments, more at once would not fit on every browser's stack.
  for (let from = 0; from < bytes.length; from += 0x2000) {
    text += String.fromCharCode(...bytes.subarray(from, from + 0x2000));
  }
  return btoa(text);
}

/** The bytes of base64; null if it is none. */
export function fromBase64(text: string): Uint8Array | null {
  try {
    return Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  } catch {
    return null;
  }
}
