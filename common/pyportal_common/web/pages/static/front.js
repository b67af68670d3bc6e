// What pages do only with JavaScript: take the code of a link from its fragment, which no server gets.
"use strict";

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
