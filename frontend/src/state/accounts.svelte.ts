import { get, patch, post, query, remove } from "../api/client";
import type { Account, List, Quota } from "../api/types";
import type { AccountChange, TestCost, TestView } from "../api/types.gen";
import { Resource } from "./resource.svelte";

/** The accounts, by provider, priority and name. */
export const accounts = new Resource<List<Account>>({
	load: (signal) => get<List<Account>>("/api/accounts", { signal }),
	topics: ["account", "config", "notice"],
});

/** Whether a person must do something about it. */
export function needsPerson(a: Account): boolean {
	return a.state === "needs_login" || a.state === "needs_action" || a.state === "blocked";
}

/** The accounts that a person must do something about. */
export function needing(): Account[] {
	return (accounts.value?.items ?? []).filter(needsPerson);
}

const path = (id: string, verb = "") => `/api/accounts/${encodeURIComponent(id)}${verb}`;

function put(changed: Account): Account {
	const before = accounts.value;
	if (before) accounts.set({ items: before.items.map((a) => (a.id === changed.id ? changed : a)) });
	return changed;
}

export async function changeAccount(id: string, change: AccountChange): Promise<Account> {
	return put(await patch<Account>(path(id), change));
}

/** Ends the pauses of an account, or the one of a model. */
export async function clearAccount(id: string, model = ""): Promise<Account> {
	return put(await post<Account>(path(id, "/clear"), model ? { model } : {}));
}

/** Asks the service for what is free. */
export function testAccount(id: string): Promise<TestView> {
	return post<TestView>(path(id, "/test"));
}

/** Has a model of the account answer, which costs what testCost says. */
export function askModel(id: string, model: string): Promise<TestView> {
	return post<TestView>(path(id, "/test"), { generate: true, model });
}

/** What a test costs in which a model answers. */
export function testCost(id: string, model: string, signal: AbortSignal): Promise<TestCost> {
	return get<TestCost>(path(id, "/test") + query({ model }), { signal });
}

/** Asks the service how much is left: a free call. */
export async function askQuota(id: string): Promise<void> {
	await get<List<Quota>>(path(id, "/quota"));
	await accounts.reload();
}

export async function removeAccount(id: string): Promise<void> {
	await remove(path(id));
	const before = accounts.value;
	if (before) accounts.set({ items: before.items.filter((a) => a.id !== id) });
}
