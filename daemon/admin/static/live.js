// The live list of deliveries: new ones gather under "12 new", rows that are shown change in place.
// A list is live while its page is seen: browsers open few connections to one server.

const AGAIN_MS = 15000;
let source = null;
let again = 0;

function list() { return document.querySelector("[data-live]"); }

function show(isLive) {
  const state = document.querySelector("[data-live-state]");
  if (state) state.hidden = !isLive;
}

function stop() {
  clearTimeout(again);
  source?.close();
  source = null;
  show(false);
}

function listen() {
  const at = list()?.dataset.live;
  const url = at && !document.hidden ? new URL(at, location).href : null;
  if (source && source.url === url) return show(source.readyState === EventSource.OPEN);
  stop();
  if (!url) return;
  source = new EventSource(url);
  source.addEventListener("open", () => show(true));
  source.addEventListener("error", () => {
    show(false);
    if (source?.readyState !== EventSource.CLOSED) return;  // it connects again by itself
    stop();
    again = setTimeout(listen, AGAIN_MS);
  });
  source.addEventListener("end", stop);
  source.addEventListener("new", (event) => { count(Number(event.data)); follow(); });
  source.addEventListener("changed", (event) => refresh(event.data.split(" ")));
}

function count(events) {
  const link = document.getElementById("new");
  if (!link) return;
  link.hidden = events === 0;
  link.textContent = events < 100 ? `${events} new` : "99+ new";
}

async function page(url) {
  const response = await fetch(url, { headers: { Accept: "text/html" } });
  if (!response.ok || response.redirected) return null;
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

function morph(target, found, sourceElement) {
  return htmx.swap({ target, sourceElement, text: found.innerHTML, swap: "innerMorph" });
}

async function refresh(events) {
  const base = list()?.dataset.rows;
  const inspector = document.getElementById("inspector");
  const shown = events.includes(inspector?.dataset.event) ? inspector : null;
  if (!base) return;
  const url = new URL(base, location);
  url.searchParams.set("events", events.join(" "));
  const rows = await page(url);
  for (const row of rows?.querySelectorAll(".row") ?? []) {
    const old = document.getElementById(row.id);
    // Elements stay, and with them the focus; a click on one that goes meanwhile is lost.
    if (old) await morph(old, row, list());
  }
  const whole = shown && await page(location.href);
  const found = whole?.getElementById("inspector");
  if (found && found.dataset.event === shown.dataset.event) {
    await morph(shown, found, shown);
  }
  await (whole ? summarize(whole) : follow());
  document.dispatchEvent(new Event("live:refreshed"));
}

// The state and the figures above the list: a whole page is read for them, so seldom.
const SUMMARY_MS = 15000;
let summarized = Date.now();

async function follow() {
  if (Date.now() - summarized < SUMMARY_MS) return;
  summarized = Date.now();
  const whole = await page(location.href);
  if (whole) await summarize(whole);
}

async function summarize(whole) {
  summarized = Date.now();
  for (const id of ["head", "overview"]) {
    const shown = document.getElementById(id);
    const found = whole.getElementById(id);
    if (shown && found) await morph(shown, found, shown);
  }
}

// The row of what is in the inspector; in a narrow window, the inspector is above the list.
function choose() {
  const inspector = document.getElementById("inspector");
  if (!inspector) return;
  for (const row of document.querySelectorAll(".row")) {
    if (row.id === `e-${inspector.dataset.event}`) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
}

document.addEventListener("htmx:after:swap", (event) => {
  choose();
  const inspector = document.getElementById("inspector");
  const top = inspector?.getBoundingClientRect().top ?? 0;
  const chosen = event.detail?.ctx?.sourceElement?.matches?.(".row, .dot");
  if (chosen && (top < 0 || top > innerHeight)) inspector.scrollIntoView();
});

document.addEventListener("DOMContentLoaded", listen);
document.addEventListener("htmx:after:swap", listen);
document.addEventListener("visibilitychange", listen);
addEventListener("pagehide", stop);
addEventListener("pageshow", listen);
if (document.readyState !== "loading") listen();
