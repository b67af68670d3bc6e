// What pages do only with JavaScript.
"use strict";

const DOUBLE_CLICK = 3000; // milliseconds
const sentAt = new WeakMap();

// The second of two clicks would replace the answer to the first, which may show something once.
addEventListener("submit", (event) => {
  const now = performance.now();
  if (now - (sentAt.get(event.target) ?? -DOUBLE_CLICK) < DOUBLE_CLICK) event.preventDefault();
  else sentAt.set(event.target, now);
});

// The code of a link is in its fragment, which no server gets.
function takeToken() {
  const field = document.querySelector("input[name=token]");
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!field || !token) return;
  field.value = token;
  field.closest(".field").hidden = true;
  history.replaceState(null, "", location.pathname);
}

takeToken();
// Opening another link of the same kind in the same tab changes only the fragment.
addEventListener("hashchange", takeToken);
