import type { Setting } from "../../state/settings.svelte";

/** A rule for the system text of requests. */
export interface Rule {
	name: string;
	mode: string;
	text: string;
	file: string;
	providers: string[];
	keys: string[];
	replace: Record<string, string>;
	replace_regexp: Record<string, string>;
	/** among the rules that reach as far, the lowest first */
	order: number;
	/** a variable or flag holds a part of it */
	locked: boolean;
}

/** Who comes later has the last word: rules for keys after rules for providers after the rest; within these in their order. */
export function rank(r: Rule): number {
	return r.keys.length ? 2 : r.providers.length ? 1 : 0;
}

/** The rules among the settings, in the order in which they are applied. */
export function rulesOf(items: readonly Setting[]): Rule[] {
	const byName = new Map<string, Rule>();
	for (const s of items) {
		const [, name, member] = /^prompts\.([^.]+)\.(\w+)$/.exec(s.key) ?? [];
		if (!name || !member) continue;
		const rule = byName.get(name) ?? { name, mode: "", text: "", file: "", providers: [], keys: [], replace: {}, replace_regexp: {}, order: 0, locked: false };
		byName.set(name, { ...rule, [member]: s.value ?? rule[member as keyof Rule], locked: rule.locked || !!s.locked });
	}
	return [...byName.values()].sort((a, b) => rank(a) - rank(b) || a.order - b.order || (a.name < b.name ? -1 : 1));
}

/** The settings of a rule, as they are changed. */
export function settingsOf(r: Rule): Record<string, unknown> {
	return { mode: r.mode || "append", text: r.text, file: r.file, providers: r.providers, keys: r.keys, replace: r.replace, replace_regexp: r.replace_regexp, order: r.order };
}

/** A name for a rule that no other one has; settings are named by letters, digits and hyphens. */
export function freeName(wanted: string, taken: readonly string[]): string {
	const base =
		wanted
			.toLowerCase()
			.replace(/[^a-z0-9]+/g, "-")
			.replace(/^-|-$/g, "") || "rule";
	let name = base;
	for (let i = 2; taken.includes(name); i++) name = `${base}-${i}`;
	return name;
}
