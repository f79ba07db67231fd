import { get, patch, post } from "../api/client";
import type { Account, List, Pool } from "../api/types";
import type { PoolChange } from "../api/types.gen";
import { accounts } from "./accounts.svelte";
import { Resource } from "./resource.svelte";

/** The pools: all accounts of a provider, and how they are used. */
export const pools = new Resource<List<Pool>>({
	load: (signal) => get<List<Pool>>("/api/pools", { signal }),
	topics: ["account", "route", "config"],
	pace: 500,
});

export async function changePool(provider: string, change: PoolChange): Promise<void> {
	await patch(`/api/pools/${encodeURIComponent(provider)}`, change);
	await Promise.all([pools.reload(), accounts.reload()]);
}

/** Gives the accounts of a provider the order in which they are used. */
export async function orderAccounts(provider: string, ids: string[]): Promise<void> {
	const { items } = await post<List<Account>>("/api/accounts/order", { provider, ids });
	mergeAccounts(items);
	await pools.reload();
}

function mergeAccounts(changed: Account[]): void {
	const byID = new Map(changed.map((a) => [a.id, a]));
	const before = accounts.value;
	if (before) accounts.set({ items: before.items.map((a) => byID.get(a.id) ?? a) });
}
