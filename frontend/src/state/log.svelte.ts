import { get, query } from "../api/client";
import { asError, type ApiError } from "../api/errors";
import { feed } from "../api/feed.svelte";
import type { LogLine, LogView } from "../api/types.gen";

/** The most lines that the page keeps; the server keeps about as many in memory. */
const most = 2000;

/** The lines of the log, the newest first. New ones are asked for when the feed says that there are some. */
class Log {
	lines = $state.raw<LogLine[]>([]);
	/** the latest answer, without its lines; undefined until there was one */
	view = $state.raw<LogView>();
	error = $state.raw<ApiError>();
	/** new lines wait until the list may move again */
	held = $state(false);
	waiting = $state.raw<LogLine[]>([]);

	#filter = { level: "", package: "", search: "" };
	#abort: AbortController | undefined;
	#again = false;
	#seq = 0;

	/** Keeps the lines fresh until the returned function is called. */
	follow(): () => void {
		const stop = feed.follow(
			(hints) => hints.some((h) => h.topic === "log") && void this.#more(),
			() => void this.reload(),
		);
		void this.reload();
		return () => {
			stop();
			this.#abort?.abort();
			this.#abort = undefined;
		};
	}

	filter(filter: { level: string; package: string; search: string }): void {
		const { level, search } = this.#filter;
		if (level === filter.level && this.#filter.package === filter.package && search === filter.search) return;
		this.#filter = filter;
		void this.reload();
	}

	/** Loads all that fits anew. */
	async reload(): Promise<void> {
		await feed.ready();
		const view = await this.#ask(0);
		if (!view) return;
		this.lines = view.items.reverse();
		this.waiting = [];
	}

	async #more(): Promise<void> {
		if (this.#abort) {
			this.#again = true; // those lines may have come after the answer was made
			return;
		}
		const since = this.#seq;
		const view = await this.#ask(since);
		if (!view) return;
		if (view.seq < since) return this.reload(); // another run of the program
		const newer = view.items.reverse();
		if (this.held) this.waiting = [...newer, ...this.waiting].slice(0, most);
		else this.lines = [...newer, ...this.lines].slice(0, most);
	}

	async #ask(since: number): Promise<LogView | undefined> {
		this.#abort?.abort();
		const abort = new AbortController();
		this.#abort = abort;
		this.#again = false;
		try {
			const view = await get<LogView>("/api/logs" + query({ ...this.#filter, since, limit: most }), { signal: abort.signal });
			if (abort.signal.aborted) return undefined;
			this.error = undefined;
			this.view = view;
			this.#seq = view.seq;
			return view;
		} catch (thrown) {
			if (abort.signal.aborted) return undefined;
			this.error = asError(thrown);
			return undefined;
		} finally {
			if (this.#abort === abort) {
				this.#abort = undefined;
				if (this.#again) queueMicrotask(() => void this.#more());
			}
		}
	}

	/** Holds new lines back, or lets in those that wait. */
	hold(on: boolean): void {
		this.held = on;
		if (on || this.waiting.length === 0) return;
		this.lines = [...this.waiting, ...this.lines].slice(0, most);
		this.waiting = [];
	}
}

export const log = new Log();
