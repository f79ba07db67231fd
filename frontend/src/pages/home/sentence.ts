import type { Account, Routing, Status } from "../../api/types";
import type { Key, Values } from "../../i18n/index.svelte";
import { canAnswer, restsUntil } from "../../parts/state";

export interface Said {
	key: Key;
	values?: Values;
}

interface Facts {
	status: Status | undefined;
	/** why Patchbay does not answer at all, "" = it does */
	cause: string;
	accounts: Account[] | undefined;
	routing: Routing | undefined;
	/** writes a time as a person reads it */
	when: (ms: number) => string;
}

/** The one sentence of Home: the first that fits. */
export function sentence({ status, cause, accounts, routing, when }: Facts): Said {
	if (cause) return { key: "home.notAnswering", values: { cause } };
	if (!status || !accounts) return { key: "home.loading" };
	if (status.paused) return { key: "home.paused" };
	const counted = accounts.filter((a) => a.state !== "disabled" && a.state !== "discontinued");
	if (accounts.length === 0) return { key: "home.noAccount" };
	const ready = counted.filter(canAnswer);
	if (ready.length === 0) {
		const soonest = Math.min(...counted.map((a) => restsUntil(a) || Infinity));
		return soonest < Infinity ? { key: "home.noneUntil", values: { time: when(soonest) } } : { key: "home.none" };
	}
	const id = routing?.default.provider ?? status.default_provider;
	const pool = counted.filter((a) => a.provider === id);
	if (pool.length > 0 && !pool.some((a) => canAnswer(a) || restsUntil(a))) {
		return { key: "home.readyBut", values: { provider: routing?.default.name || id || "" } };
	}
	return { key: "home.ready", values: { n: ready.length, m: counted.length } };
}
