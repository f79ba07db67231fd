import { untrack } from "svelte";
import { seqOf } from "../api/client";
import { asError, type ApiError } from "../api/errors";
import { feed, type Hint, type Topic } from "../api/feed.svelte";

interface Options<T> {
	load: (signal: AbortSignal) => Promise<T>;
	/** hints of these topics mean that the value may be old */
	topics: readonly Topic[];
	/** takes a hint into the value without asking; undefined means ask */
	apply?: (value: T, hint: Hint) => T | undefined;
	/** least time between two loads that hints cause, in ms */
	pace?: number;
}

/**
 * Something that the server owns, as this page last saw it. It opens the feed first, loads, takes newer hints in, and
 * loads again after a gap, a reconnect or a sleep. The old value stays until the new one is there.
 */
export class Resource<T> {
	value = $state.raw<T | undefined>();
	error = $state.raw<ApiError | undefined>();
	loading = $state(false);

	#options: Options<T>;
	#followers = 0;
	#unfollow: (() => void) | undefined;
	#abort: AbortController | undefined;
	#stale = false;
	#early: Hint[] = [];
	#timer: ReturnType<typeof setTimeout> | undefined;
	#loadedAt = 0;

	constructor(options: Options<T>) {
		this.#options = options;
	}

	/** Keeps the value fresh until the returned function is called. Use it in an effect: `$effect(() => x.follow())`. */
	follow(): () => void {
		if (this.#followers++ === 0) {
			this.#unfollow = feed.follow(
				(hints) => this.#take(hints),
				() => void this.reload(),
			);
			untrack(() => void this.reload()); // the effect that follows does not depend on what the load looks at
		}
		return () => {
			if (--this.#followers > 0) return;
			this.#unfollow?.();
			clearTimeout(this.#timer);
			this.#timer = undefined;
			this.#abort?.abort();
			this.#abort = undefined;
			this.loading = false;
		};
	}

	/** Loads now; a load that runs is given up. */
	async reload(): Promise<void> {
		clearTimeout(this.#timer);
		this.#timer = undefined;
		this.#abort?.abort();
		const abort = new AbortController();
		this.#abort = abort;
		this.#stale = false;
		this.#early = [];
		this.loading = true;
		try {
			await feed.ready();
			const value = await this.#options.load(abort.signal);
			if (abort.signal.aborted) return;
			this.error = undefined;
			this.#set(value);
		} catch (thrown) {
			if (abort.signal.aborted) return;
			this.error = asError(thrown);
		}
		this.#abort = undefined;
		this.loading = false;
		this.#loadedAt = Date.now();
		if (this.#stale) this.#soon();
	}

	/** Puts in what the page knows already, such as the answer to a change it made. */
	set(value: T): void {
		this.value = value;
	}

	#set(value: T): void {
		const early = this.#early;
		this.#early = [];
		const seq = seqOf(value);
		this.value = value;
		for (const hint of early) if (hint.seq > seq) this.#applyOne(hint);
	}

	#take(hints: Hint[]): void {
		for (const hint of hints) {
			if (!this.#options.topics.includes(hint.topic)) continue;
			if (this.#abort) this.#early.push(hint);
			else this.#applyOne(hint);
		}
		if (this.#stale && !this.#abort) this.#soon();
	}

	#applyOne(hint: Hint): void {
		const next = this.value === undefined ? undefined : this.#options.apply?.(this.value, hint);
		if (next === undefined) this.#stale = true;
		else this.value = next;
	}

	#soon(): void {
		if (this.#timer) return;
		const wait = Math.max(0, this.#loadedAt + (this.#options.pace ?? 200) - Date.now());
		this.#timer = setTimeout(() => {
			this.#timer = undefined;
			if (this.#followers > 0) void this.reload();
		}, wait);
	}
}
