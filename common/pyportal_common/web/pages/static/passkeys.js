// Buttons that ask the browser for a passkey, and send their form with its answer.
"use strict";

const ACTS = {
  create: (options) =>
    navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) }),
  get: (options) =>
    navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) }),
};

const FAULTS = {
  InvalidStateError: "This device has a passkey of yours already.",
  NotAllowedError: "No passkey was used. Try again.",
  SecurityError: "Passkeys do not work at this address.",
};

async function answerTo(url) {
  try {
    const response = await fetch(url, { method: "POST" });
    return [response, await response.json()];
  } catch {
    throw new Error("The portal did not answer. Try again in a moment.");
  }
}

async function optionsFrom(url) {
  const [response, answer] = await answerTo(url);
  if (response.ok) return answer.options;
  if (response.status === 401) location.assign(location.pathname); // which leads to the page to log in
  throw new Error(`${answer.error}.`);
}

async function use(button) {
  const { passkey, field, options } = button.dataset;
  const fault = button.nextElementSibling;
  fault.textContent = "";
  try {
    const credential = await ACTS[passkey](await optionsFrom(options));
    button.form.elements[field].value = JSON.stringify(credential);
    button.form.submit();
  } catch (error) {
    fault.textContent = FAULTS[error.name] ?? error.message;
  }
}

const isSupported = window.PublicKeyCredential?.parseRequestOptionsFromJSON;

for (const button of document.querySelectorAll("[data-passkey]")) {
  button.hidden = !isSupported;
  if (isSupported) {
    button.addEventListener("click", (event) => {
      event.preventDefault();
      if (button.form.reportValidity()) use(button);
    });
  } else if (button.dataset.passkey === "create") {
    button.nextElementSibling.textContent = "This browser cannot use passkeys. A newer version of it can.";
  }
}
