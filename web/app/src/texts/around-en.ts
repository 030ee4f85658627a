/** The texts around a call in English: starting it, lobby, people, devices. `around-ko.ts` has the same keys. */
export const aroundEn = {
  // Around a call: starting it
  cancel: 'Cancel',
  startName: 'Name of the call',
  startNamePlaceholder: 'Weekly meeting (optional)',
  startTokenHint: 'Whoever runs this server gives it to people who may start calls. It stays in this tab.',
  startTokenNeeded: 'This server lets invited people start calls. Enter your creator token.',
  startTokenRefused: 'The server did not accept this creator token. It may be mistyped or have expired.',
  startTooMany: 'Too many calls were started from your address. Wait a minute.',
};
