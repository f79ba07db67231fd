import { get } from "../api/client";
import type { List, Model } from "../api/types";
import { Resource } from "./resource.svelte";

/** The models that apps see. */
export const models = new Resource<List<Model>>({
	load: (signal) => get<List<Model>>("/api/models", { signal }),
	topics: ["route", "config", "account"],
	pace: 2000,
});
