import { untrack } from "svelte";
import type { Key } from "../i18n/index.svelte";
import type { Glyph } from "../ui/tones";

/** The kinds, most severe first. The slot shows one; a lost connection goes before all of them. */
export const bannerOrder = ["vault", "config", "network", "paused", "update"] as const;

export interface Banner {
	glyph: Glyph;
	text: string;
	action: { label: Key; run: () => void | Promise<void>; href?: string };
}

class Banners {
	#all = $state.raw<Partial<Record<(typeof bannerOrder)[number], Banner>>>({});

	/** Shows a banner of a kind, or takes it away. */
	set(kind: (typeof bannerOrder)[number], banner: Banner | undefined): void {
		const all = untrack(() => this.#all); // an effect that sets one does not depend on the others
		if (banner || all[kind]) this.#all = { ...all, [kind]: banner };
	}

	get current(): { kind: (typeof bannerOrder)[number]; banner: Banner } | undefined {
		for (const kind of bannerOrder) {
			const banner = this.#all[kind];
			if (banner) return { kind, banner };
		}
		return undefined;
	}
}

export const banners = new Banners();
