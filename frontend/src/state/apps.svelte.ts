import { get, patch, query, remove } from "../api/client";
import type { Key, List, RequestRow } from "../api/types";
import type { KeyChange, RequestPage } from "../api/types.gen";
import { keys } from "./keys.svelte";
import { Resource } from "./resource.svelte";

/** The latest request of each app, by the id of its key. */
export const seen = new Resource<Record<string, RequestRow>>({
	load: async (signal) => {
		const { items } = await get<List<Key>>("/api/keys", { signal });
		const latest = await Promise.all(
			items.slice(0, mostApps).map(async (k) => (await get<RequestPage>("/api/requests" + query({ key: k.id, limit: 1 }), { signal })).items[0]),
		);
		return Object.fromEntries(latest.flatMap((r) => (r?.key ? [[r.key, r]] : [])));
	},
	topics: ["request", "config"],
	pace: 3000,
});
const mostApps = 100;

const path = (id: string) => `/api/keys/${encodeURIComponent(id)}`;

/** Changes what is named of a key; it holds from the next request on. */
export async function changeKey(id: string, change: KeyChange): Promise<void> {
	const changed = await patch<Key>(path(id), change);
	const before = keys.value;
	if (before) keys.set({ items: before.items.map((k) => (k.id === id ? changed : k)) });
}

/** Ends a key, and what runs for it. It stays in the list. */
export async function revokeKey(id: string): Promise<void> {
	await remove(path(id));
	await keys.reload();
}

/** Takes a key out of the list too. */
export async function removeKey(id: string): Promise<void> {
	await remove(path(id) + "?remove=true");
	await keys.reload();
}
