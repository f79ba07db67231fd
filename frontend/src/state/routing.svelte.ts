import { get } from "../api/client";
import type { Routing } from "../api/types";
import { Resource } from "./resource.svelte";

/** Everything that decides where requests go. */
export const routing = new Resource<Routing>({
	load: (signal) => get<Routing>("/api/routing", { signal }),
	topics: ["route", "config", "account"],
});
