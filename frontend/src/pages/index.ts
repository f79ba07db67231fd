import Activity from "@lucide/svelte/icons/activity";
import ChartNoAxesColumn from "@lucide/svelte/icons/chart-no-axes-column";
import CircleHelp from "@lucide/svelte/icons/circle-question-mark";
import Database from "@lucide/svelte/icons/database";
import FileKey from "@lucide/svelte/icons/file-key";
import FlaskConical from "@lucide/svelte/icons/flask-conical";
import House from "@lucide/svelte/icons/house";
import Plug from "@lucide/svelte/icons/plug";
import ScrollText from "@lucide/svelte/icons/scroll-text";
import Settings from "@lucide/svelte/icons/sliders-horizontal";
import Split from "@lucide/svelte/icons/split";
import User from "@lucide/svelte/icons/user";
import type { Component } from "svelte";
import type { Key } from "../i18n/index.svelte";
import type { IconType } from "../ui/Icon.svelte";

/** A page. It reads what follows its path from the router. */
export interface Page {
	id: string;
	/** without what follows it: "/activity" shows "#/activity/17" too */
	path: string;
	title: Key;
	icon: IconType;
	/** its place in the sidebar; a page below another one has none */
	group?: "use" | "look" | "keep";
	/** id of the page that it stands beside: both show as tabs */
	under?: string;
	/** the letter behind G */
	key?: string;
	/** it fills the window to its edges and brings its own padding and tabs */
	whole?: boolean;
	load: () => Promise<{ default: Component }>;
}

/** Every page, in the order of the sidebar. */
export const pages: Page[] = [
	{ id: "home", path: "/", title: "nav.home", icon: House, group: "use", key: "h", load: () => import("./home/HomePage.svelte") },
	{
		id: "accounts",
		path: "/accounts",
		title: "nav.accounts",
		icon: User,
		group: "use",
		key: "a",
		load: () => import("./accounts/AccountsPage.svelte"),
	},
	{ id: "files", path: "/files", title: "nav.files", icon: FileKey, under: "accounts", load: () => import("./files/FilesPage.svelte") },
	{
		id: "routing",
		path: "/routing",
		title: "nav.routing",
		icon: Split,
		group: "use",
		key: "r",
		load: () => import("./routing/RoutingPage.svelte"),
	},
	{
		id: "playground",
		path: "/playground",
		title: "nav.playground",
		icon: FlaskConical,
		under: "routing",
		load: () => import("./playground/PlaygroundPage.svelte"),
	},
	{ id: "apps", path: "/apps", title: "nav.apps", icon: Plug, group: "use", key: "p", load: () => import("./apps/AppsPage.svelte") },
	{
		id: "activity",
		path: "/activity",
		title: "nav.activity",
		icon: Activity,
		group: "look",
		key: "c",
		whole: true,
		load: () => import("./activity/ActivityPage.svelte"),
	},
	{
		id: "dataset",
		path: "/dataset",
		title: "nav.dataset",
		icon: Database,
		under: "activity",
		load: () => import("./dataset/DatasetPage.svelte"),
	},
	{
		id: "usage",
		path: "/usage",
		title: "nav.usage",
		icon: ChartNoAxesColumn,
		group: "look",
		key: "u",
		load: () => import("./usage/UsagePage.svelte"),
	},
	{
		id: "settings",
		path: "/settings",
		title: "nav.settings",
		icon: Settings,
		group: "keep",
		key: "s",
		load: () => import("./settings/SettingsPage.svelte"),
	},
	{ id: "help", path: "/help", title: "nav.help", icon: CircleHelp, group: "keep", key: "?", load: () => import("./help/HelpPage.svelte") },
	{ id: "logs", path: "/logs", title: "nav.logs", icon: ScrollText, under: "help", load: () => import("./logs/LogsPage.svelte") },
];

/** The page of a path. */
export function pageOf(path: string): Page | undefined {
	const first = "/" + (path.split("/")[1] ?? "");
	return pages.find((p) => p.path === first);
}

/** The page of the sidebar that a page belongs to. */
export function parentOf(page: Page): Page {
	return pages.find((p) => p.id === page.under) ?? page;
}

/** A page and those that stand beside it, as tabs; none for a page that stands alone. */
export function tabsOf(page: Page): Page[] {
	const parent = parentOf(page);
	const beside = pages.filter((p) => p.under === parent.id);
	return beside.length ? [parent, ...beside] : [];
}
