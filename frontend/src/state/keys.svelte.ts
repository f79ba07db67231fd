import { get } from "../api/client";
import type { Key, List } from "../api/types";
import { Resource } from "./resource.svelte";

/** The client keys: one per app. */
export const keys = new Resource<List<Key>>({
	load: (signal) => get<List<Key>>("/api/keys", { signal }),
	topics: ["config", "key", "request"],
	pace: 2000,
});
