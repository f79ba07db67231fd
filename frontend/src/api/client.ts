import { ApiError } from "./errors";
import { session } from "./session.svelte";

export interface CallOptions {
	signal?: AbortSignal;
	headers?: Record<string, string>;
}

/** Where the page is served from, and so the API: everything stays on one origin. */
export const origin = location.origin;

/** Calls the API as the person who opened this page, and gives the answer as it came: for streams and downloads. */
export async function send(method: string, path: string, body?: unknown, options: CallOptions = {}): Promise<Response> {
	const headers: Record<string, string> = { ...options.headers };
	if (session.token) headers["Authorization"] = `Bearer ${session.token}`;
	if (body !== undefined) headers["Content-Type"] = "application/json";
	let response: Response;
	try {
		response = await fetch(origin + path, {
			method,
			headers,
			body: body === undefined ? null : JSON.stringify(body),
			signal: options.signal ?? null,
			cache: "no-store",
		});
	} catch (thrown) {
		if (options.signal?.aborted) throw thrown;
		throw new ApiError("lost", "Patchbay did not answer.");
	}
	if (response.ok) return response;
	const failure = await readFailure(response);
	if (response.status === 401) session.refuse();
	throw failure;
}

/** Calls the API and reads the JSON of its answer; nothing for an empty one. */
export async function call<T>(method: string, path: string, body?: unknown, options?: CallOptions): Promise<T> {
	const response = await send(method, path, body, options);
	if (response.status === 204) return undefined as T;
	const value = (await response.json()) as T;
	if (typeof value === "object" && value !== null) snapshots.set(value, Number(response.headers.get("X-Patchbay-Seq") ?? 0));
	return value;
}

const snapshots = new WeakMap<object, number>();

/** The number of the last event that an answer knows of; later hints may be news to it. */
export function seqOf(value: unknown): number {
	return (typeof value === "object" && value !== null && snapshots.get(value)) || 0;
}

export const get = <T>(path: string, options?: CallOptions) => call<T>("GET", path, undefined, options);
export const post = <T>(path: string, body?: unknown, options?: CallOptions) => call<T>("POST", path, body, options);
export const put = <T>(path: string, body?: unknown, options?: CallOptions) => call<T>("PUT", path, body, options);
export const patch = <T>(path: string, body?: unknown, options?: CallOptions) => call<T>("PATCH", path, body, options);
export const remove = <T = void>(path: string, options?: CallOptions) => call<T>("DELETE", path, undefined, options);

/** Builds the query part of a path; what is empty is left out. */
export function query(values: Record<string, string | number | boolean | undefined>): string {
	const q = new URLSearchParams();
	for (const [name, value] of Object.entries(values)) {
		if (value !== undefined && value !== "" && value !== false) q.set(name, String(value));
	}
	const text = q.toString();
	return text && "?" + text;
}

async function readFailure(response: Response): Promise<ApiError> {
	try {
		// The addresses for apps answer in the shape of their protocol: a type or a code where the API says kind.
		const { error } = (await response.json()) as { error: { kind?: string; type?: string; message: string; param?: string | null } };
		return new ApiError(error.kind ?? error.type ?? "internal", error.message, error.param ?? "", response.status);
	} catch {
		return new ApiError("internal", `${response.status} ${response.statusText}`, "", response.status);
	}
}
