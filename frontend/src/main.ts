import "./app.css";
import { mount } from "svelte";
import App from "./App.svelte";
import { openLinksOutside } from "./api/browser";
import { startSession } from "./api/session.svelte";
import { loadLanguage } from "./i18n/index.svelte";
import { prefs } from "./state/prefs.svelte";

// The ticket goes out of the address first, and the words come before the first paint.
const [, target] = [startSession(), document.getElementById("app")];
await loadLanguage(prefs.language);
openLinksOutside();
if (target) mount(App, { target });
