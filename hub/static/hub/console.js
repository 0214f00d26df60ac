// Copy buttons, and pages that follow their object while it is open.
(() => {
  "use strict";
  const PERIOD = 2000;

  async function copy(button) {
    const text = button.dataset.copy;
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
    } else {
      // Plain HTTP from another machine has no clipboard API.
      const field = Object.assign(document.createElement("textarea"), { value: text });
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    button.textContent = "check";
    setTimeout(() => { button.textContent = "content_copy"; }, 1200);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) {
      event.preventDefault();
      event.stopPropagation();
      copy(button);
    }
  }, true);

  // Only parts that changed are replaced, so that reading, selecting and scrolling go on.
  function merge(live, fresh) {
    for (const part of [...fresh.querySelectorAll("[data-part]")]) {
      const old = live.querySelector(`[data-part="${part.dataset.part}"]`);
      if (!old) {
        live.append(part);
      } else if (old.outerHTML !== part.outerHTML) {
        old.replaceWith(part);
      }
    }
  }

  function dialogIsOpen() {
    const modal = document.getElementById("modal-content");
    return Boolean(modal && modal.offsetParent);
  }

  // What is shown once must not vanish by a slip, nor a dialog whose answer is still awaited.
  function keepDialog(event) {
    if (!dialogIsOpen()) {
      return;
    }
    const modal = document.getElementById("modal-content");
    const isSending = modal.querySelector(".htmx-request");
    const isSlip = event.type === "keydown" ? event.key === "Escape" : !modal.contains(event.target);
    const isMeant = event.type === "keydown" && event.key !== "Escape";
    if (!isMeant && (isSending || (isSlip && modal.querySelector("[data-once]")))) {
      event.preventDefault();
      event.stopPropagation();
    }
  }
  document.addEventListener("click", keepDialog, true);
  document.addEventListener("keydown", keepDialog, true);

  function nameDialog() {
    const modal = document.getElementById("modal-content");
    const dialog = document.getElementById("dialog");
    if (!modal || !dialog) {
      return;
    }
    modal.setAttribute("role", "dialog");
    modal.setAttribute("aria-modal", "true");
    modal.setAttribute("aria-label", dialog.querySelector("h1")?.textContent.trim() ?? "");
    if (dialog.querySelector("[data-once]")) {
      dialog.querySelector("form > div:last-child a").textContent = "Close";
    }
  }
  document.addEventListener("htmx:afterSettle", nameDialog);

  async function follow(live) {
    for (;;) {
      await new Promise((done) => { setTimeout(done, PERIOD); });
      if (document.hidden) {
        continue;
      }
      let answer;
      try {
        answer = await fetch(live.dataset.live, { redirect: "manual" });
      } catch {
        continue; // The hub restarts; ask again.
      }
      if (answer.status >= 500) {
        continue;
      }
      if (!answer.ok) {
        return; // Logged out, or the object is gone.
      }
      const fresh = document.createElement("template");
      fresh.innerHTML = await answer.text();
      merge(live, fresh.content);
      if (!live.querySelector("[data-open]") && !dialogIsOpen()) {
        location.reload(); // It ended: buttons and fields change with it.
        return;
      }
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    const live = document.querySelector("[data-live]");
    if (live && live.querySelector("[data-open]")) {
      follow(live);
    }
  });
})();
