import type { Step } from "../api/types";
import { duration, when } from "../i18n/format.svelte";
import { known, t } from "../i18n/index.svelte";
import type { Glyph, Tone } from "../ui/tones";
import { kindWords } from "./result";

/** One stop of a way, in words. */
export interface TraceStop {
	id: string;
	use: "used" | "spare" | "live";
	cord: "used" | "spare";
	glyph: Glyph;
	who: string;
	verb: string;
	tone: Tone | undefined;
	/** the cause, and what a service said */
	lines: string[];
	/** since the request came, "" where it says nothing */
	at: string;
}

interface Names {
	/** who asked */
	app: string;
	provider: (id: string) => string;
}

const protocols: Record<string, string> = {
	openai: "OpenAI Chat",
	openairesponses: "OpenAI Responses",
	responses: "OpenAI Responses",
	anthropic: "Anthropic Messages",
	gemini: "Gemini",
	ollama: "Ollama",
};

/** What people call a client protocol. */
export function protocolName(id: string | undefined): string {
	return protocols[id ?? ""] ?? id ?? "";
}

/** The way of a request, stop by stop. */
export function traceStops(steps: readonly Step[], names: Names): TraceStop[] {
	return steps.map((step, i) => stop(step, i, names));
}

function stop(s: Step, i: number, names: Names): TraceStop {
	const base = { id: `${i}`, use: "used", cord: "used", tone: undefined, at: duration(s.at_ms) } as const;
	const provider = s.provider ? names.provider(s.provider) : "";
	const who = s.label || s.account || provider;
	switch (s.what) {
		case "asked":
			return { ...base, glyph: "off", who: names.app, verb: t("trace.askedFor", { model: s.model || "…" }), lines: filled(protocolName(s.kind)) };
		case "rule":
			return { ...base, glyph: "off", who: provider, verb: t("trace.chosen"), lines: filled(ruleWords(s)) };
		case "step":
			return { ...base, glyph: "off", who: provider, verb: t("trace.stepsIn"), lines: filled(s.model ? t("trace.asModel", { model: s.model }) : "") };
		case "skipped":
			return { ...base, use: "spare", cord: "spare", glyph: "hungup", who: s.count ? t("trace.accounts", { n: s.count }) : who, verb: t("trace.skipped"), lines: skippedWords(s), at: "" };
		case "tried":
			return { ...base, glyph: "stop", who, verb: t("trace.tried", { result: saidWords(s.kind) }), tone: "stop", lines: triedWords(s) };
		case "ready":
			return { ...base, glyph: "ready", who, verb: t("trace.ready"), tone: "ready", lines: [], at: "" };
		case "spare":
			return { ...base, use: "spare", cord: "spare", glyph: "off", who: provider, verb: t("trace.spare"), lines: filled(s.model ? t("trace.asModel", { model: s.model }) : ""), at: "" };
		case "answered":
			return { ...base, glyph: "ready", who, verb: t("trace.answered"), tone: "ready", lines: filled(s.ms ? t("trace.tookIt", { time: duration(s.ms) }) : "") };
		case "ended":
			return { ...base, glyph: "stop", who: names.app, verb: t("trace.wasTold"), tone: "stop", lines: [kindWords(s.kind)] };
		default:
			return { ...base, glyph: "off", who: t("trace.note"), verb: "", lines: filled(s.message), at: "" };
	}
}

const filled = (text: string | undefined): string[] => (text ? [text] : []);

/** Why a provider was chosen: one of the rules. */
export function ruleWords(s: Pick<Step, "rule" | "message">): string {
	const key = `trace.rule_${s.rule ?? ""}`;
	return known(key) ? t(key) : (s.message ?? "");
}

function skippedWords(s: Step): string[] {
	const until = s.until ? when(s.until) : "";
	if (s.kind === "resting") {
		const said = (s.message ?? "").replace(/^rests for [^,]*,?\s*/, "");
		return [until ? t("trace.restingUntil", { time: until }) : t("trace.resting"), ...(s.count ? [] : filled(said))];
	}
	const key = `trace.skip_${s.kind ?? ""}`;
	return known(key) ? [t(key)] : filled(s.message);
}

/** What a service said, in a few words. */
function saidWords(kind: string | undefined): string {
	const key = `trace.said_${kind ?? ""}`;
	return known(key) ? t(key) : kindWords(kind).toLocaleLowerCase();
}

function triedWords(s: Step): string[] {
	const key = `trace.next_${s.next ?? ""}`;
	const after = known(key) ? t(key) : "";
	const took = s.ms ? t("trace.after", { time: duration(s.ms) }) : "";
	return [...filled(s.message), ...filled([took, after].filter(Boolean).join(" · "))];
}
