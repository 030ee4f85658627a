/** Whether this browser has what a call takes; older ones would fail somewhere in the middle. */
export function canCall(): boolean {
  const given = globalThis as unknown as Record<string, unknown>;
  const parts = [
    'RTCPeerConnection',
    'RTCRtpTransceiver',
    'WebSocket',
    'ResizeObserver',
    'IntersectionObserver',
  ];
  if (parts.some((part) => given[part] === undefined)) return false;
  return 'any' in AbortSignal && 'setCodecPreferences' in RTCRtpTransceiver.prototype;
}
