import type { Protocol } from "../home/examples";

/** What an answer says, whatever its protocol. */
export interface Said {
	text: string;
	thoughts: string;
	/** calls of tools: name and arguments */
	calls: string[];
	/** why it failed */
	error: string;
}

type Obj = Record<string, unknown>;
const obj = (v: unknown): Obj => (typeof v === "object" && v !== null ? (v as Obj) : {});
const list = (v: unknown): Obj[] => (Array.isArray(v) ? v.map(obj) : []);
const str = (v: unknown): string => (typeof v === "string" ? v : "");

/** Reads an answer, whole or as far as it came. */
export function read(protocol: Protocol, raw: string): Said {
	const said: Said = { text: "", thoughts: "", calls: [], error: "" };
	const calls = new Map<string, { name: string; args: string }>();
	for (const o of objects(raw)) {
		const error = o["error"] ?? obj(o["response"])["error"];
		if (error) said.error = str(obj(error)["message"]) || str(error) || JSON.stringify(error);
		readers[protocol](o, said, calls);
	}
	said.calls = [...calls.values()].map((c) => `${c.name}(${c.args})`);
	return said;
}

/** The objects of an answer: one body, the data of an event stream, or lines of JSON. */
function objects(raw: string): Obj[] {
	const text = raw.trim();
	if (/^(event|data|:|id)/.test(text)) {
		return text.split(/\r?\n/).flatMap((line) => (line.startsWith("data:") ? parsed(line.slice(5)) : []));
	}
	const whole = parsed(text);
	return whole.length ? whole : text.split("\n").flatMap(parsed);
}

function parsed(text: string): Obj[] {
	try {
		const value: unknown = JSON.parse(text);
		return Array.isArray(value) ? list(value) : [obj(value)];
	} catch {
		return []; // not all of it is here yet, or the end of a stream
	}
}

type Calls = Map<string, { name: string; args: string }>;

function call(calls: Calls, id: string, name: unknown, args: unknown): void {
	const one = calls.get(id) ?? { name: "", args: "" };
	one.name ||= str(name);
	one.args += typeof args === "string" ? args : args === undefined ? "" : JSON.stringify(args);
	calls.set(id, one);
}

const readers: Record<Protocol, (o: Obj, said: Said, calls: Calls) => void> = {
	openai(o, said, calls) {
		const choice = list(o["choices"])[0] ?? {};
		const m = obj(choice["delta"] ?? choice["message"]);
		said.text += str(m["content"]);
		said.thoughts += str(m["reasoning_content"]) || str(m["reasoning"]);
		for (const [i, c] of list(m["tool_calls"]).entries()) call(calls, String(c["index"] ?? i), obj(c["function"])["name"], obj(c["function"])["arguments"]);
	},
	responses(o, said, calls) {
		const type = str(o["type"]);
		if (type === "response.output_text.delta") said.text += str(o["delta"]);
		else if (type.startsWith("response.reasoning") && type.endsWith(".delta")) said.thoughts += str(o["delta"]);
		else if (type === "response.output_item.done" && obj(o["item"])["type"] === "function_call") {
			const item = obj(o["item"]);
			call(calls, str(item["call_id"]), item["name"], item["arguments"]);
		}
		for (const item of list(o["output"])) {
			for (const c of list(item["content"])) said.text += str(c["text"]);
			for (const c of list(item["summary"])) said.thoughts += str(c["text"]);
			if (item["type"] === "function_call") call(calls, str(item["call_id"]), item["name"], item["arguments"]);
		}
	},
	anthropic(o, said, calls) {
		const delta = obj(o["delta"]);
		said.text += str(delta["text"]);
		said.thoughts += str(delta["thinking"]);
		const block = obj(o["content_block"]);
		const index = String(o["index"]);
		if (block["type"] === "tool_use") call(calls, index, block["name"], undefined);
		if (delta["type"] === "input_json_delta") call(calls, index, "", delta["partial_json"]);
		for (const [i, c] of list(o["content"]).entries()) {
			said.text += str(c["text"]);
			said.thoughts += str(c["thinking"]);
			if (c["type"] === "tool_use") call(calls, String(i), c["name"], c["input"]);
		}
	},
	gemini(o, said, calls) {
		const content = obj((list(o["candidates"])[0] ?? {})["content"]);
		for (const p of list(content["parts"])) {
			if (p["thought"]) said.thoughts += str(p["text"]);
			else said.text += str(p["text"]);
			const f = obj(p["functionCall"]);
			if (f["name"]) call(calls, String(calls.size), f["name"], f["args"]);
		}
	},
	ollama(o, said, calls) {
		const m = obj(o["message"]);
		said.text += str(m["content"]);
		said.thoughts += str(m["thinking"]);
		for (const c of list(m["tool_calls"])) call(calls, String(calls.size), obj(c["function"])["name"], obj(c["function"])["arguments"]);
	},
};
