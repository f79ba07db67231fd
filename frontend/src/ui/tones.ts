/** What a colour answers: must I do something? act = yes; rest = it heals by itself; stop = lost; ready = works; off = off or over. */
export type Tone = "ready" | "rest" | "act" | "stop" | "off";

/** The shapes that go with the words of a state. The shape is the second sign, the colour the third. */
export type Glyph = "ready" | "rest" | "act" | "stop" | "off" | "ended" | "running" | "hungup";

export const toneOf: Record<Glyph, Tone> = {
	ready: "ready",
	rest: "rest",
	act: "act",
	stop: "stop",
	off: "off",
	ended: "off",
	running: "rest",
	hungup: "off",
};

export const markColour: Record<Tone, string> = {
	ready: "text-ready-mark",
	rest: "text-rest-mark",
	act: "text-act-mark",
	stop: "text-stop-mark",
	off: "text-off-mark",
};

export const wordColour: Record<Tone, string> = {
	ready: "text-ready-fg",
	rest: "text-rest-fg",
	act: "text-act-fg",
	stop: "text-stop-fg",
	off: "text-off-fg",
};
