import { get } from "../api/client";
import type { Account, List } from "../api/types";
import { Resource } from "./resource.svelte";

/** The accounts, by provider, priority and name. */
export const accounts = new Resource<List<Account>>({
	load: (signal) => get<List<Account>>("/api/accounts", { signal }),
	topics: ["account", "config"],
});

/** Whether a person must do something about it. */
export function needsPerson(a: Account): boolean {
	return a.state === "needs_login" || a.state === "needs_action" || a.state === "blocked";
}

/** The accounts that a person must do something about. */
export function needing(): Account[] {
	return (accounts.value?.items ?? []).filter(needsPerson);
}
