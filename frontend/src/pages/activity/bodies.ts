/** A body as it is shown: JSON as a tree, anything else as text. */
export function parseBody(body: string): { json?: unknown; text: string } {
	const start = body.trimStart()[0];
	if (start !== "{" && start !== "[") return { text: body };
	try {
		return { json: JSON.parse(body) as unknown, text: body };
	} catch {
		return { text: body }; // cut, or JSON by the line
	}
}

/** How often a text, in small letters, stands in another one. */
export function countMatches(text: string, wanted: string): number {
	if (!wanted) return 0;
	return text.toLowerCase().split(wanted).length - 1;
}

/** A text in pieces, those that are looked for marked. */
export function marked(text: string, wanted: string): { text: string; hit: boolean }[] {
	if (!wanted) return [{ text, hit: false }];
	const out: { text: string; hit: boolean }[] = [];
	const low = text.toLowerCase();
	if (low.length !== text.length) return [{ text, hit: low.includes(wanted) }]; // small letters of another length: mark all of it
	let from = 0;
	for (let at = low.indexOf(wanted); at >= 0; at = low.indexOf(wanted, from)) {
		if (at > from) out.push({ text: text.slice(from, at), hit: false });
		out.push({ text: text.slice(at, at + wanted.length), hit: true });
		from = at + wanted.length;
	}
	if (from < text.length) out.push({ text: text.slice(from), hit: false });
	return out;
}

/** Whether a text stands anywhere in a value, names included. */
export function holds(value: unknown, wanted: string): boolean {
	if (!wanted) return false;
	if (typeof value === "object" && value !== null) {
		return Object.entries(value).some(([name, v]) => (!Array.isArray(value) && name.toLowerCase().includes(wanted)) || holds(v, wanted));
	}
	return String(value).toLowerCase().includes(wanted);
}
