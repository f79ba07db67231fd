import type { Account, Provider, Quota } from "../../api/types";
import { t } from "../../i18n/index.svelte";
import { canAnswer, restsUntil } from "../../parts/state";
import { needsPerson } from "../../state/accounts.svelte";
import type { Glyph } from "../../ui/tones";

export interface PoolLine {
	id: string;
	name: string;
	glyph: Glyph;
	words: string;
	/** the window of which least is left */
	tightest: Quota | undefined;
	/** where there is none: why */
	limit: string;
}

/** One line per pool, the default one first. */
export function poolLines(providers: Provider[], accounts: Account[], when: (ms: number) => string): PoolLine[] {
	const used = providers.filter((p) => accounts.some((a) => a.provider === p.id));
	used.sort((a, b) => Number(b.default) - Number(a.default));
	return used.map((p) => {
		const own = accounts.filter((a) => a.provider === p.id);
		const on = own.filter((a) => a.state !== "disabled" && a.state !== "discontinued");
		const ready = on.filter(canAnswer);
		const needing = on.filter(needsPerson);
		const resting = on.map(restsUntil).filter((ms) => ms > 0);
		const locked = on.filter((a) => a.locked).length;
		const why: string[] = [];
		if (locked) why.push(t("state.locked"));
		const signIn = needing.filter((a) => a.state === "needs_login").length;
		if (signIn) why.push(t("home.whySignIn", { n: signIn }));
		const step = needing.filter((a) => a.state === "needs_action").length;
		if (step) why.push(t("home.whyStep", { n: step }));
		const blocked = needing.filter((a) => a.state === "blocked").length;
		if (blocked) why.push(t("home.whyBlocked", { n: blocked }));
		if (resting.length) why.push(t("home.whyRest", { n: resting.length, time: when(Math.min(...resting)) }));
		const count = on.length ? t("home.poolReady", { n: ready.length, m: on.length }) : t("home.poolOff", { n: own.length });
		return {
			id: p.id,
			name: p.name,
			glyph: glyphOf(on.length, ready.length, needing, resting.length, locked),
			words: why.length ? t("home.poolWhy", { count, why: why.join(t("home.comma")) }) : count,
			tightest: tightest(own),
			limit: p.no_key ? t("home.local") : t("home.noLimit"),
		};
	});
}

function glyphOf(on: number, ready: number, needing: Account[], resting: number, locked: number): Glyph {
	if (on === 0) return "off";
	if (needing.some((a) => a.state === "blocked") && ready === 0) return "stop";
	if (needing.length || locked) return "act";
	if (ready === 0 && resting) return "rest";
	return "ready";
}

function tightest(accounts: Account[]): Quota | undefined {
	let least: Quota | undefined;
	let left = Infinity;
	for (const a of accounts) {
		if (!canAnswer(a)) continue;
		for (const q of a.quota?.windows ?? []) {
			const part = q.limit > 0 ? 1 - q.used / q.limit : Infinity;
			if (part < left) [least, left] = [q, part];
		}
	}
	return least;
}
