import { get } from "../api/client";
import type { Status } from "../api/types";
import { Resource } from "./resource.svelte";

/** The state of the program. */
export const status = new Resource<Status>({
	load: (signal) => get<Status>("/api/status", { signal }),
	topics: ["account", "route", "config", "notice"],
});
