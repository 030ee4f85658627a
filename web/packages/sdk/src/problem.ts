/** A request that a service refused: an RFC 9457 problem. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    /** HTTP status. */
    readonly status: number,
    /** The last part of the problem's type, such as `closed`; empty if it says no more than the status. */
    readonly code: string,
    /** What happened, in the service's words (English); may be empty. */
    readonly detail: string,
    /** Milliseconds to wait before a repetition, from `Retry-After`. */
    readonly retryAfterMs?: number,
  ) {
    super(detail === '' ? `HTTP ${status}` : detail);
  }
}

/** A request that got no answer: offline, refused, timed out, or blocked. */
export class NetworkError extends Error {
  override readonly name = 'NetworkError';
}

/** Longest wait for the answer to a request. */
const REQUEST_TIMEOUT_MS = 10_000;
/** Longest `Retry-After` that is obeyed as it stands; a longer one counts as this. */
const MAX_RETRY_AFTER_MS = 30_000;

/** `fetch` that answers only with a success: {@link ApiError} and {@link NetworkError} otherwise. */
export async function request(url: string, init: RequestInit = {}): Promise<Response> {
  const timeout = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  const signal = init.signal ? AbortSignal.any([init.signal, timeout]) : timeout;
  let response: Response;
  try {
    response = await fetch(url, { ...init, signal });
  } catch (error) {
    // A caller that aborts wants its own reason back, not a "network" failure.
    init.signal?.throwIfAborted();
    throw new NetworkError(error instanceof Error ? error.message : 'request failed');
  }
  if (response.ok) return response;
  throw await toApiError(response);
}

/** The error that a response which is no success stands for. */
export async function toApiError(response: Response): Promise<ApiError> {
  let code = '';
  let detail = '';
  const type = response.headers.get('content-type') ?? '';
  if (type.includes('json')) {
    const body: unknown = await response.json().catch(() => null);
    if (typeof body === 'object' && body !== null) {
      const problem = body as Record<string, unknown>;
      if (typeof problem.type === 'string') code = problemCode(problem.type);
      if (typeof problem.detail === 'string') detail = problem.detail;
      else if (typeof problem.title === 'string') detail = problem.title;
    }
  }
  return new ApiError(response.status, code, detail, parseRetryAfter(response.headers.get('retry-after')));
}

function problemCode(type: string): string {
  return type === 'about:blank' ? '' : (type.split('/').pop() ?? '');
}

/** Milliseconds from a `Retry-After` value, seconds or an HTTP date, within 0 and a cap. */
export function parseRetryAfter(value: string | null, nowMs = Date.now()): number | undefined {
  if (value === null) return undefined;
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}
