import { origin } from "../api/client";
import { session } from "../api/session.svelte";

/** A call of a model endpoint, as an app would make it. */
export interface Sent {
	path: string;
	headers: Record<string, string>;
	body: unknown;
}

/** What came back, so far. */
export interface Came {
	status: number;
	headers: Record<string, string>;
	/** the whole answer as it came */
	raw: string;
	done: boolean;
}

const told = ["content-type", "x-patchbay-provider", "x-patchbay-account", "x-patchbay-model", "x-patchbay-attempts", "x-patchbay-dropped", "x-patchbay-request-id"];

/** Calls a model endpoint with the session as key, and tells of every piece that comes. */
export async function callModel(sent: Sent, oncome: (came: Came) => void, signal: AbortSignal): Promise<void> {
	const response = await fetch(origin + sent.path, {
		method: "POST",
		headers: { ...sent.headers, Authorization: `Bearer ${session.token}`, "Content-Type": "application/json" },
		body: JSON.stringify(sent.body),
		signal,
		cache: "no-store",
	});
	const headers = Object.fromEntries(told.flatMap((name) => (response.headers.has(name) ? [[name, response.headers.get(name) ?? ""]] : [])));
	const came = { status: response.status, headers, raw: "", done: false };
	oncome({ ...came });
	const reader = response.body?.getReader();
	const decoder = new TextDecoder();
	while (reader) {
		const { value, done } = await reader.read();
		if (done) break;
		came.raw += decoder.decode(value, { stream: true });
		oncome({ ...came });
	}
	came.raw += decoder.decode();
	oncome({ ...came, done: true });
}
