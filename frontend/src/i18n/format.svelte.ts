import { language, t } from "./index.svelte";

const formats = new Map<string, Intl.DateTimeFormat | Intl.NumberFormat | Intl.ListFormat>();

function dates(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
	return cached("d", options, () => new Intl.DateTimeFormat(language(), options));
}

function numbers(options: Intl.NumberFormatOptions): Intl.NumberFormat {
	return cached("n", options, () => new Intl.NumberFormat(language(), options));
}

function cached<T extends Intl.DateTimeFormat | Intl.NumberFormat | Intl.ListFormat>(kind: string, options: object, make: () => T): T {
	const key = kind + language() + JSON.stringify(options);
	let one = formats.get(key) as T | undefined;
	if (!one) formats.set(key, (one = make()));
	return one;
}

const clock: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

/** Today `17:52`, within six days `Thu 09:00`, otherwise `1 Dec`, with the year when it is another one. */
export function when(at: Date | string | number, now = Date.now()): string {
	const date = new Date(at);
	const today = new Date(now);
	if (date.toDateString() === today.toDateString()) return dates(clock).format(date);
	if (Math.abs(date.getTime() - now) < 6 * 86_400_000) return dates({ weekday: "short", ...clock }).format(date);
	if (date.getFullYear() === today.getFullYear()) return dates({ day: "numeric", month: "short" }).format(date);
	return dates({ day: "numeric", month: "short", year: "numeric" }).format(date);
}

/** The day alone: `19 Nov`, with the year when it is another one. */
export function day(at: Date | string | number, now = Date.now()): string {
	const date = new Date(at);
	const year = date.getFullYear() === new Date(now).getFullYear() ? {} : ({ year: "numeric" } as const);
	return dates({ day: "numeric", month: "short", ...year }).format(date);
}

/** The time of day to the second, for logs. */
export function clockTime(at: Date | string | number): string {
	return dates({ ...clock, second: "2-digit" }).format(new Date(at));
}

/** The whole moment with its time zone, for tooltips. */
export function exact(at: Date | string | number): string {
	return dates({ dateStyle: "full", timeStyle: "long", hourCycle: "h23" }).format(new Date(at));
}

export function number(n: number, options: Intl.NumberFormatOptions = {}): string {
	return numbers(options).format(n);
}

/** `214`, `148 K`, `1.9 M`. */
export function short(n: number): string {
	if (Math.abs(n) < 1000) return number(n);
	const [by, unit] = Math.abs(n) < 999_500 ? [1e3, "K"] : Math.abs(n) < 999_500_000 ? [1e6, "M"] : [1e9, "G"];
	const shown = n / (by as number);
	return `${number(shown, { maximumFractionDigits: Math.abs(shown) < 10 ? 1 : 0 })} ${unit}`;
}

/** `72 %` of one. */
export function percent(part: number): string {
	return t("unit.percent", { p: number(Math.round(part * 100)) });
}

/** `12 ms`, `0.4 s`, `12 s`, `3 min`, `2 h`. */
export function duration(ms: number): string {
	if (ms < 95) return t("unit.ms", { v: number(Math.max(1, Math.round(ms))) });
	const s = ms / 1000;
	if (s < 60) return t("unit.seconds", { v: number(s, { maximumFractionDigits: s < 10 ? 1 : 0, minimumFractionDigits: s < 10 ? 1 : 0 }) });
	if (s < 5400) return t("unit.minutes", { v: number(Math.round(s / 60)) });
	if (s < 172_800) return t("unit.hours", { v: number(Math.round(s / 3600)) });
	return t("unit.days", { v: number(Math.round(s / 86_400)) });
}

export function bytes(n: number): string {
	const units = ["B", "KB", "MB", "GB", "TB"];
	let unit = 0;
	while (n >= 1024 && unit < units.length - 1) {
		n /= 1024;
		unit++;
	}
	return `${number(n, { maximumFractionDigits: n < 10 && unit > 0 ? 1 : 0 })} ${units[unit]}`;
}

/** `a, b and c`. */
export function listed(items: string[]): string {
	return cached("l", {}, () => new Intl.ListFormat(language(), { type: "conjunction" })).format(items);
}
