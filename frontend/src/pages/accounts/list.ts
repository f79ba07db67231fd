import type { Account, Pool, Provider } from "../../api/types";
import { restsUntil } from "../../parts/state";
import { needsPerson } from "../../state/accounts.svelte";

export type Show = "all" | "ready" | "needs" | "resting" | "off";

/** The filter that an account belongs to. */
export function bucket(a: Account): Exclude<Show, "all"> {
	if (needsPerson(a)) return "needs";
	if (a.state === "disabled" || a.state === "discontinued") return "off";
	return restsUntil(a) > 0 ? "resting" : "ready";
}

/** Whether a search finds an account. */
export function fits(a: Account, search: string): boolean {
	const words = search.trim().toLowerCase().split(/\s+/);
	const text = [a.name, a.provider, a.identity, a.id, a.origin?.program, a.origin?.plan, a.proxy, ...(a.tags ?? [])].join(" ").toLowerCase();
	return words.every((w) => text.includes(w));
}

/** A pool as the page shows it. */
export interface Group {
	id: string;
	name: string;
	accounts: Account[];
	/** all accounts of the pool in the order of their use, shown or not */
	order: string[];
	pool: Pool | undefined;
	provider: Provider | undefined;
	ended: boolean;
}

/** The accounts by pool: the default provider first, then by name, then what its vendor has ended. */
export function group(shown: Account[], pools: Pool[], providers: Provider[]): Group[] {
	const groups = new Map<string, Group>();
	for (const a of shown) {
		let g = groups.get(a.provider);
		if (!g) {
			const pool = pools.find((p) => p.provider === a.provider);
			const provider = providers.find((p) => p.id === a.provider);
			g = {
				id: a.provider,
				name: provider?.name ?? pool?.name ?? a.provider,
				accounts: [],
				order: pool?.order ?? [],
				pool,
				provider,
				ended: provider?.status === "discontinued",
			};
			groups.set(a.provider, g);
		}
		g.accounts.push(a);
	}
	for (const g of groups.values()) {
		const place = new Map(g.order.map((id, i) => [id, i]));
		const of = (a: Account) => place.get(a.id) ?? place.size;
		g.accounts.sort((x, y) => of(x) - of(y) || x.priority - y.priority || x.name.localeCompare(y.name));
	}
	const first = (g: Group) => Number(g.pool?.default ?? g.provider?.default ?? false);
	return [...groups.values()].sort((x, y) => Number(x.ended) - Number(y.ended) || first(y) - first(x) || x.name.localeCompare(y.name));
}

/** The ids in a new order: the one at from goes to the place of to. */
export function moved(ids: string[], from: number, to: number): string[] {
	const next = [...ids];
	const [id] = next.splice(from, 1);
	if (id === undefined) return ids;
	next.splice(to, 0, id);
	return next;
}
