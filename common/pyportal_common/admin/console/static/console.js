// What pages do only with JavaScript: read parts again while they are looked at, and select rows.
"use strict";

const isSelecting = (part) =>
  part.querySelector("input:checked") !== null || part.contains(document.activeElement);

function refresh(part) {
  if (document.visibilityState === "visible" && !isSelecting(part)) {
    htmx.trigger(part, "refresh");
  }
}

function countSeconds() {
  for (const part of document.querySelectorAll("[data-refresh]")) {
    const left = Number(part.dataset.left ?? part.dataset.refresh) - 1;
    part.dataset.left = left > 0 ? left : part.dataset.refresh;
    if (left <= 0) refresh(part);
  }
}

function prepare(root) {
  for (const all of root.querySelectorAll("[data-select-all]")) {
    all.hidden = false;
    all.addEventListener("change", () => {
      for (const box of all.form.querySelectorAll("input[name=ids]")) box.checked = all.checked;
    });
  }
}

document.addEventListener("htmx:load", (event) => prepare(event.detail.elt));
setInterval(countSeconds, 1000);
