import { bytes, listed, number } from "../../i18n/format.svelte";
import { known, t, type Key } from "../../i18n/index.svelte";
import { providerName } from "../../state/providers.svelte";
import type { Setting } from "../../state/settings.svelte";

/** The sections of the page, in order. */
export const sections = ["start", "address", "look", "recording", "limits", "network", "providers", "prompts", "updates", "backup"] as const;
export type SectionID = (typeof sections)[number];

/** Where a setting stands, if not where the server puts it. */
const moved: Record<string, SectionID> = {
	"desktop.notifications.sign_in": "start",
	"desktop.notifications.exhausted": "start",
	"desktop.notifications.port": "start",
	"desktop.notifications.update": "updates",
};

/** What has a place of its own on this page or on another one. */
const elsewhere = /^(server\.listen|server\.lan|server\.ollama_listener\.listen|desktop\.(language|theme)|network\.proxy|database)$|^(routing|providers|prompts)\./;

/** The plain rows of a section. */
export function rowsOf(section: SectionID, items: readonly Setting[]): Setting[] {
	return items.filter((s) => !elsewhere.test(s.key) && (moved[s.key] ?? s.section) === section);
}

/** The key with * in place of names that people choose. */
export function pattern(key: string): string {
	return key.replace(/^(providers|prompts)\.[^.]+/, "$1.*");
}

function sentence(key: string, values?: Record<string, string | number>): string | undefined {
	return known(key) ? t(key as Key, values) : undefined;
}

/** What people call a setting. One that has no name here yet is called by the last part of its key. */
export function nameOf(s: Setting): string {
	const last = s.key.split(".").at(-1) ?? s.key;
	return sentence("set." + pattern(s.key)) ?? last[0]!.toUpperCase() + last.slice(1).replaceAll("_", " ");
}

/** Whether nothing is set: no limit, an empty list, off. */
export function isOff(value: unknown): boolean {
	if (value === null || value === undefined || value === false || value === "" || value === 0 || value === "off") return true;
	return typeof value === "object" && Object.keys(value).length === 0;
}

/** One line that says what is true now. */
export function lineOf(s: Setting): string {
	const key = "set." + pattern(s.key);
	const values = { value: valueText(s) };
	return (isOff(s.value) && sentence(key + ".off", values)) || (sentence(key + ".on", values) ?? s.about + ".");
}

/** A value in words. */
export function valueText(s: Setting, value: unknown = s.value): string {
	if (value === null || value === undefined) return t("settings.none");
	if (typeof value === "boolean") return value ? t("settings.on") : t("settings.off");
	if (typeof value === "number") return number(value);
	if (Array.isArray(value)) return value.length ? listed(value.map(String)) : t("settings.none");
	if (typeof value === "object") {
		const pairs = Object.entries(value).map(([name, v]) => `${name} → ${Array.isArray(v) ? v.join(", ") : String(v)}`);
		return pairs.length ? listed(pairs) : t("settings.none");
	}
	const text = String(value);
	if (s.key === "default_provider") return providerName(text);
	if (s.kind === "duration") return durationText(text);
	if (s.kind === "size") return sizeText(text);
	return s.allowed?.length ? choiceText(text) : text || t("settings.none");
}

/** One of a few values in words. */
export function choiceText(value: string): string {
	return sentence("set.choice." + (value || "none")) ?? value;
}

/** `1 min 30 s` from the form of the file, `1m30s`. */
export function durationText(text: string): string {
	const units: Record<string, Key> = { h: "unit.hours", m: "unit.minutes", s: "unit.seconds", ms: "unit.ms" };
	const found = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)];
	if (!found.length) return text === "off" ? t("settings.none") : text;
	return found.map(([, n, unit]) => t(units[unit!]!, { v: number(Number(n)) })).join(" ");
}

function sizeText(text: string): string {
	const powers: Record<string, number> = { KiB: 10, MiB: 20, GiB: 30, TiB: 40 };
	const found = /^(\d+(?:\.\d+)?)([KMGT]iB)?$/.exec(text);
	return found ? bytes(Number(found[1]) * 2 ** (powers[found[2] ?? ""] ?? 0)) : text;
}

/** What opening something up means, asked before it is done. */
export const asked: Record<string, { when: (value: unknown) => boolean; title: Key; text: Key; action: Key }> = {
	"server.ollama_listener.no_key": { when: (v) => v === true, title: "settings.noKeyTitle", text: "settings.noKeyText", action: "settings.noKeyDo" },
	"record.bodies.enabled": { when: (v) => v === true, title: "settings.bodiesTitle", text: "settings.bodiesText", action: "settings.bodiesDo" },
	"record.prompt_log.to": { when: (v) => v !== "off" && v !== "", title: "settings.promptLogTitle", text: "settings.bodiesText", action: "settings.promptLogDo" },
};
