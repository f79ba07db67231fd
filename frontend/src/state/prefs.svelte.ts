export type Theme = "system" | "light" | "dark";
export const languages = ["en", "zh-CN", "ja"] as const;
export type Language = (typeof languages)[number];

/** How this page looks in this browser. */
class Prefs {
	theme = $state<Theme>(stored("theme", ["system", "light", "dark"], "system"));
	language = $state<Language>(stored("language", languages, preferred()));
	/** single letters as commands, which people who speak to their computer switch off */
	shortcuts = $state(stored("shortcuts", ["on", "off"], "on") === "on");

	setTheme(theme: Theme): void {
		this.theme = theme;
		store("theme", theme);
		if (theme === "system") delete document.documentElement.dataset["theme"];
		else document.documentElement.dataset["theme"] = theme;
	}

	setLanguage(language: Language): void {
		this.language = language;
		store("language", language);
	}

	setShortcuts(on: boolean): void {
		this.shortcuts = on;
		store("shortcuts", on ? "on" : "off");
	}

	/** light or dark, as it is on screen now */
	get shown(): "light" | "dark" {
		if (this.theme !== "system") return this.theme;
		return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
	}
}

export const prefs = new Prefs();

function preferred(): Language {
	for (const tag of navigator.languages) {
		const base = tag.toLowerCase().split("-")[0];
		if (base === "zh") return "zh-CN";
		if (base === "ja") return "ja";
		if (base === "en") return "en";
	}
	return "en";
}

function stored<T extends string>(name: string, allowed: readonly T[], otherwise: T): T {
	try {
		const value = localStorage.getItem("patchbay." + name);
		return allowed.find((a) => a === value) ?? otherwise;
	} catch {
		return otherwise;
	}
}

function store(name: string, value: string): void {
	try {
		localStorage.setItem("patchbay." + name, value);
	} catch {
		// storage is switched off: it holds until the page is closed
	}
}
