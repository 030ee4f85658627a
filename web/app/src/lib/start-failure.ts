import { ApiError } from '@madang/sdk';

/** Why a call was not started. */
export type StartFailure = 'token-needed' | 'token-refused' | 'too-many' | 'network' | 'server';

/** Why a call was not started, by what the service answered and whether a creator token was shown. */
export function startFailure(error: unknown, gaveToken: boolean): StartFailure {
  if (!(error instanceof ApiError)) return 'network';
  if (error.status === 401 || error.status === 403) return gaveToken ? 'token-refused' : 'token-needed';
  return error.status === 429 ? 'too-many' : 'server';
}
