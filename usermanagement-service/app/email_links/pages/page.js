// Posts the form with the token of the link, and shows the result. Opening the page changes nothing:
// mail scanners open links, too.

const form = document.querySelector("form");
const button = form.querySelector("button");
const outcome = document.getElementById("outcome");
const shown = document.getElementById("shown");
const token = new URLSearchParams(location.hash.slice(1)).get("token");

const INCOMPLETE = "This link is not complete. Copy all of it from the e-mail.";
const INVALID =
  "This link does not work any more: it was used, has expired, or was replaced by a newer one.";
const TAKEN =
  "Another account has your address by now. Reset the password of that account, delete it, and open this link again.";
const FAILED = "Something went wrong. Try again in a moment.";

function show(text, isGood) {
  outcome.textContent = text;
  outcome.className = isGood ? "good" : "bad";
  outcome.focus();
}

function end(text, isGood) {
  form.hidden = true;
  show(text, isGood);
}

async function explain(response) {
  if (response.status === 400) {
    end(INVALID, false);
  } else if (response.status === 409) {
    show(TAKEN, false);
  } else if (response.status === 422) {
    const { details } = await response.json();
    if (details.some((detail) => detail.field === "token")) {
      end(INCOMPLETE, false);
    } else {
      const { message } = details[0];
      show(`Choose another password: ${message[0].toLowerCase()}${message.slice(1)}.`, false);
    }
  } else if (response.status === 429) {
    const { retry_after: seconds } = await response.json();
    show(`Too many attempts. Try again in ${seconds} seconds.`, false);
  } else {
    show(FAILED, false);
  }
}

async function send() {
  const response = await fetch(form.dataset.postsTo, {
    method: "POST",
    credentials: "omit",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token, ...Object.fromEntries(new FormData(form)) }),
  });
  if (response.ok) {
    end(form.dataset.done, true);
  } else {
    await explain(response);
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  outcome.textContent = "";
  try {
    await send();
  } catch {
    show(FAILED, false);
  }
  button.disabled = false;
});

shown?.addEventListener("change", () => {
  document.getElementById("newPassword").type = shown.checked ? "text" : "password";
});

// Opening another link of the same kind in the same tab changes only the fragment.
addEventListener("hashchange", () => location.reload());

if (!token) {
  end(INCOMPLETE, false);
}
