// Posts what the form has, with the token of the link, and says in words what came of it. Opening
// the page does nothing: programs that look at mails open links, too.

const form = document.querySelector("form");
const button = form.querySelector("button");
const outcome = document.getElementById("outcome");
const shown = document.getElementById("shown");
const token = new URLSearchParams(location.hash.slice(1)).get("token");

const NO_LINK = "This link is not complete. Copy all of it from the mail.";
const DEAD_LINK =
  "This link does not work any more: it was used, is too old, or another one took its place.";
const FAILED = "This did not work just now. Try again in a moment.";

function say(text, isGood) {
  outcome.textContent = text;
  outcome.className = isGood ? "good" : "bad";
  outcome.focus();
}

function end(text, isGood) {
  form.hidden = true;
  say(text, isGood);
}

async function explain(answer) {
  if (answer.status === 400) {
    end(DEAD_LINK, false);
  } else if (answer.status === 422) {
    const { details } = await answer.json();
    if (details.some((detail) => detail.field === "token")) {
      end(NO_LINK, false);
    } else {
      say(`The password ${details[0].message}`, false);
    }
  } else if (answer.status === 429) {
    const { retry_after: seconds } = await answer.json();
    say(`That was too often. Try again in ${seconds} seconds.`, false);
  } else {
    say(FAILED, false);
  }
}

async function send() {
  const answer = await fetch(form.dataset.postsTo, {
    method: "POST",
    credentials: "omit",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token, ...Object.fromEntries(new FormData(form)) }),
  });
  if (answer.ok) {
    end(form.dataset.done, true);
  } else {
    await explain(answer);
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  outcome.textContent = "";
  try {
    await send();
  } catch {
    say(FAILED, false);
  }
  button.disabled = false;
});

shown?.addEventListener("change", () => {
  document.getElementById("newPassword").type = shown.checked ? "text" : "password";
});

// Another link of the same kind, opened in the same tab, changes nothing but the fragment.
addEventListener("hashchange", () => location.reload());

if (!token) {
  end(NO_LINK, false);
}
