import type { Language } from "../state/prefs.svelte";

/** Each language by its own name, so that who cannot read the others finds it. */
export const languageNames: Record<Language, string> = { en: "English", "zh-CN": "简体中文", ja: "日本語" };
