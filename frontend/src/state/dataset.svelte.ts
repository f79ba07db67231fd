import { post, send } from "../api/client";
import { asError, type ApiError } from "../api/errors";
import { feed } from "../api/feed.svelte";
import type { DatasetPreview, DatasetQuery } from "../api/types";

export type { DatasetQuery } from "../api/types";

const paceMS = 1500; // it reads all that is kept

/** What a data set would hold. A newer question gives up the one before. */
class Preview {
	value = $state.raw<DatasetPreview | undefined>();
	error = $state.raw<ApiError | undefined>();
	loading = $state(false);
	#abort: AbortController | undefined;
	#query: DatasetQuery | undefined;
	#timer: ReturnType<typeof setTimeout> | undefined;

	/** Makes it anew when requests were kept, until the returned function is called. */
	follow(): () => void {
		const stop = feed.follow(
			(hints) => hints.some((h) => h.topic === "request") && this.#soon(),
			() => this.#soon(),
		);
		return () => {
			stop();
			clearTimeout(this.#timer);
			this.#timer = undefined;
			this.#abort?.abort();
		};
	}

	#soon(): void {
		this.#timer ??= setTimeout(() => {
			this.#timer = undefined;
			if (this.#query) void this.show(this.#query);
		}, paceMS);
	}

	async show(query: DatasetQuery): Promise<void> {
		this.#query = query;
		this.#abort?.abort();
		const abort = new AbortController();
		this.#abort = abort;
		this.loading = true;
		try {
			const value = await post<DatasetPreview>("/api/dataset/preview", query, { signal: abort.signal });
			if (abort.signal.aborted) return;
			this.value = value;
			this.error = undefined;
		} catch (thrown) {
			if (abort.signal.aborted) return;
			this.error = asError(thrown);
		}
		this.loading = false;
	}
}

export const preview = new Preview();

/** Reads a data set to its end and tells how far it is. */
export async function exportDataset(query: DatasetQuery, signal: AbortSignal, progress: (bytes: number) => void): Promise<Blob> {
	const response = await send("POST", "/api/dataset/export", query, { signal });
	const reader = response.body?.getReader();
	const pieces: BlobPart[] = [];
	let bytes = 0;
	for (;;) {
		const next = await reader?.read();
		if (!next || next.done) break;
		pieces.push(next.value);
		bytes += next.value.byteLength;
		progress(bytes);
	}
	return new Blob(pieces, { type: "application/jsonl" });
}
