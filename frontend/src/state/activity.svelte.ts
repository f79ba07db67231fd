import { get, post, query } from "../api/client";
import { asError, type ApiError } from "../api/errors";
import { feed, type Hint } from "../api/feed.svelte";
import type { Replayed, RequestBodies, RequestDetail, RequestPage, RequestRow } from "../api/types";
import { Resource } from "./resource.svelte";

/** What of the request log is shown; what is left out does not narrow. */
export interface RequestFilter {
	failed?: boolean;
	retried?: boolean;
	q?: string;
	/** id of the client key, which is what an app has of its own */
	key?: string;
	provider?: string;
	account?: string;
	model?: string;
	kind?: string;
	status?: string;
	since?: string;
	until?: string;
}

const firstRows = 200; // of the page that is read again when something changed
const moreRows = 500; // of one that is scrolled to
const paceMS = 500; // least time between two reads: a hundred requests a second are one read of what is new
const mostLive = 2000; // rows that are held while nobody scrolls
const keptLive = 1000;

/**
 * The request log as a list that grows on top while it is looked at. It reads the first page again when the feed says that
 * something changed, and merges it in; while the list is held (scrolled, or paused) what is new waits above it.
 */
export class RequestList {
	rows = $state.raw<RequestRow[]>([]);
	/** what came while the list was held, newest first */
	waiting = $state.raw<RequestRow[]>([]);
	/** more wait than were read */
	moreWait = $state(false);
	counts = $state.raw<RequestPage["counts"]>();
	lost = $state.raw<RequestPage["lost"]>();
	/** the first page of this filter is here */
	loaded = $state(false);
	error = $state.raw<ApiError | undefined>();
	/** the person stopped the list; requests go on */
	paused = $state(false);
	/** the list is scrolled: what is new must not move it */
	scrolled = $state(false);

	#filter: RequestFilter = {};
	#next: string | undefined; // where older rows go on
	#waitingNext: string | undefined;
	#abort: AbortController | undefined;
	#older: AbortController | undefined;
	#timer: ReturnType<typeof setTimeout> | undefined;
	#again = false;
	#readAt = 0;

	/** Follows the log until the returned function is called. */
	follow(): () => void {
		const stop = feed.follow(
			(hints) => this.#hinted(hints),
			() => void this.reload(),
		);
		return () => {
			stop();
			clearTimeout(this.#timer);
			this.#timer = undefined;
			this.#abort?.abort();
			this.#older?.abort();
			this.#abort = this.#older = undefined;
		};
	}

	/** Shows what a filter finds. The old rows stay until the new ones are here. */
	async show(filter: RequestFilter): Promise<void> {
		this.#filter = filter;
		this.#older?.abort();
		this.#older = undefined;
		await this.#read(true);
	}

	async reload(): Promise<void> {
		await this.#read(!this.loaded);
	}

	/** Puts what waits on top of the list. */
	release(): void {
		if (this.waiting.length === 0) return;
		if (this.moreWait) {
			this.rows = this.waiting;
			this.#next = this.#waitingNext;
		} else this.rows = merge(this.rows, this.waiting);
		this.waiting = [];
		this.moreWait = false;
	}

	setScrolled(scrolled: boolean): void {
		this.scrolled = scrolled;
		if (!scrolled && !this.paused) this.release();
	}

	setPaused(paused: boolean): void {
		this.paused = paused;
		if (paused) return;
		if (!this.scrolled) this.release();
		void this.reload();
	}

	/** Reads the rows below the last one. */
	async older(): Promise<void> {
		if (!this.#next || this.#older || !this.loaded) return;
		const abort = new AbortController();
		this.#older = abort;
		try {
			const page = await get<RequestPage>(path(this.#filter, moreRows, this.#next), { signal: abort.signal });
			if (abort.signal.aborted) return;
			this.rows = merge(this.rows, page.items);
			this.#next = page.next;
		} catch (thrown) {
			if (!abort.signal.aborted) this.error = asError(thrown);
		} finally {
			if (this.#older === abort) this.#older = undefined;
		}
	}

	#hinted(hints: Hint[]): void {
		if (hints.some((h) => h.topic === "request")) this.#soon();
	}

	#soon(): void {
		if (this.#timer) return;
		if (this.#abort) {
			this.#again = true;
			return;
		}
		this.#timer = setTimeout(
			() => {
				this.#timer = undefined;
				void this.#read(!this.loaded);
			},
			Math.max(0, this.#readAt + paceMS - Date.now()),
		);
	}

	async #read(anew: boolean): Promise<void> {
		clearTimeout(this.#timer);
		this.#timer = undefined;
		this.#abort?.abort();
		const abort = new AbortController();
		this.#abort = abort;
		this.#again = false;
		try {
			await feed.ready();
			const page = await get<RequestPage>(path(this.#filter, firstRows), { signal: abort.signal });
			if (abort.signal.aborted) return;
			this.error = undefined;
			if (anew) this.#begin(page);
			else this.#take(page);
		} catch (thrown) {
			if (abort.signal.aborted) return;
			this.error = asError(thrown);
		}
		this.#abort = undefined;
		this.#readAt = Date.now();
		if (this.#again) this.#soon();
	}

	#begin(page: RequestPage): void {
		this.rows = page.items;
		this.#next = page.next;
		this.waiting = [];
		this.moreWait = false;
		this.loaded = true;
		this.#facts(page);
	}

	#facts(page: RequestPage): void {
		this.counts = page.counts;
		this.lost = page.lost;
	}

	#take(page: RequestPage): void {
		this.#facts(page);
		const fresh = new Map(page.items.map((r) => [r.id, r]));
		const held = this.paused || this.scrolled;
		// Only rows that are over tell whether the page reaches down to the list: what runs comes with every page.
		const joined = !page.next || this.rows.length === 0 || this.rows.some((r) => fresh.get(r.id)?.state !== undefined && fresh.get(r.id)?.state !== "running");
		if (!joined) {
			if (held) {
				this.waiting = page.items;
				this.#waitingNext = page.next;
				this.moreWait = true;
			} else {
				this.rows = page.items;
				this.#next = page.next;
			}
			return;
		}
		if (!this.paused) this.rows = renew(this.rows, fresh);
		for (const r of this.rows) fresh.delete(r.id);
		const news = [...fresh.values()];
		if (held) {
			this.waiting = news;
			this.moreWait = false;
			return;
		}
		this.waiting = [];
		if (news.length > 0) this.rows = merge(this.rows, news);
		this.#trim();
		void this.#finish(page);
	}

	/** Forgets the end of a list that nobody looks at: it is read again when somebody scrolls there. */
	#trim(): void {
		if (this.rows.length <= mostLive) return;
		let end = keptLive;
		while (end < this.rows.length && this.rows[end - 1]?.state === "running") end++;
		this.rows = this.rows.slice(0, end);
		this.#next = this.rows.at(-1)?.id;
	}

	/** Asks for rows that ran when they were read and are too far down for the first page now. */
	async #finish(page: RequestPage): Promise<void> {
		const here = new Set(page.items.map((r) => r.id));
		const unknown = this.rows.filter((r) => r.state === "running" && !here.has(r.id)).slice(0, 10);
		if (unknown.length === 0) return;
		const found = new Map<string, RequestRow>();
		await Promise.all(
			unknown.map(async (r) => {
				try {
					found.set(r.id, await get<RequestDetail>(`/api/requests/${encodeURIComponent(r.id)}`));
				} catch {
					// it is in no log any more; the next full read leaves it out
				}
			}),
		);
		this.rows = renew(this.rows, found);
	}
}

function path(filter: RequestFilter, limit: number, before = ""): string {
	return "/api/requests" + query({ ...filter, limit, before });
}

/** The latest first, as the server sorts them. */
function order(a: RequestRow, b: RequestRow): number {
	return Date.parse(b.at) - Date.parse(a.at) || (a.id < b.id ? 1 : -1);
}

function merge(rows: RequestRow[], more: RequestRow[]): RequestRow[] {
	if (more.length === 0) return rows;
	const ids = new Set(more.map((r) => r.id));
	const rest = rows.filter((r) => !ids.has(r.id));
	const [first, last] = [more[0], more.at(-1)];
	if (rest.length === 0) return more;
	if (last && rest[0] && order(last, rest[0]) < 0) return [...more, ...rest];
	if (first && order(rest.at(-1) ?? first, first) < 0) return [...rest, ...more];
	return [...rest, ...more].sort(order);
}

/** The rows with newer versions put in; the same list if nothing changed. */
function renew(rows: RequestRow[], newer: Map<string, RequestRow>): RequestRow[] {
	let changed = false;
	const next = rows.map((r) => {
		const n = newer.get(r.id);
		if (!n || (r.state !== "running" && n.state === r.state)) return r;
		changed = true;
		return n;
	});
	return changed ? next : rows;
}

/** One request with its way; followed while it runs. */
export function requestDetail(id: string): Resource<RequestDetail> {
	return new Resource<RequestDetail>({
		load: (signal) => get<RequestDetail>(`/api/requests/${encodeURIComponent(id)}`, { signal }),
		topics: ["request"],
		apply: (value, hint) => {
			if (hint.id !== undefined && hint.id !== id) return value;
			// One that has ended changes once more: when its bodies are written.
			const over = value.state !== "running" && (value.bodies || hint.id === undefined);
			return over ? value : undefined;
		},
		pace: 300,
	});
}

/** Both sides of a request, as they were kept. */
export function requestBodies(id: string): Resource<RequestBodies> {
	return new Resource<RequestBodies>({
		load: (signal) => get<RequestBodies>(`/api/requests/${encodeURIComponent(id)}/bodies`, { signal }),
		topics: [],
	});
}

/** Sends a kept request again. */
export function replay(id: string): Promise<Replayed> {
	return post<Replayed>(`/api/requests/${encodeURIComponent(id)}/replay`);
}
