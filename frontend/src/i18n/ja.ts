import type { Texts } from "./message";

// The tray's sentences are the program's own and not needed here.
const areas = import.meta.glob<Texts>(["./ja/*.json", "!./ja/tray.json"], { eager: true, import: "default" });

export default Object.assign({}, ...Object.values(areas)) as Texts;
