import type { Finding } from "../../api/types.gen";
import { known, t } from "../../i18n/index.svelte";

/** A finding in the language of the page. What has no sentence here, as what a system or a service said, stays as it came. */
export function findingWords(f: Finding): { title: string; detail: string; fix: string } {
	const say = (part: string, came: string | undefined) => {
		const key = `doctor.${f.code}${part}`;
		return known(key) ? t(key, f.params) : (came ?? "");
	};
	return { title: say("", f.title), detail: say(".detail", f.detail), fix: say(".fix", f.fix) };
}
