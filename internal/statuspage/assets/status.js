// Fetches the page again once a second, and updates what has changed. The server renders all
// numbers; the page is complete without this script.
"use strict";

const interval = 1000; // milliseconds between an answer and the next request
const longest = 10000; // the longest pause after failures
const patience = 5000; // how long an answer may take

// Without the user and the password that the URL of the page may have: fetch refuses them.
const pageURL = location.origin + location.pathname;
const scriptURL = document.currentScript.src;
let failures = 0;
let lastAnswer = new Date();
let timer = 0;

// morph makes an element equal to a fresh one. Nodes that are the same stay, with their focus,
// selection and scroll position; a <details> stays open or closed as the user has left it.
function morph(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" && old.localName === "details")) {
      old.removeAttribute(name);
    }
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !(name === "open" && old.localName === "details")) {
      old.setAttribute(name, value);
    }
  }
  const children = [...fresh.childNodes];
  while (old.childNodes.length > children.length) {
    old.lastChild.remove();
  }
  children.forEach((child, i) => {
    const before = old.childNodes[i];
    if (!before) {
      old.append(document.adoptNode(child));
    } else if (before.nodeName !== child.nodeName || before.id !== child.id) {
      before.replaceWith(document.adoptNode(child));
    } else if (before.nodeType === Node.ELEMENT_NODE) {
      morph(before, child);
    } else if (before.data !== child.data) {
      before.data = child.data;
    }
  });
}

// setText changes a live region only if its text changes: screen readers read each change.
function setText(id, text) {
  const element = document.getElementById(id);
  if (element.textContent !== text) {
    element.textContent = text;
  }
  return element;
}

function show(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  if (fresh.querySelector("script").src !== scriptURL) {
    location.reload(); // an upgrade has brought another page
    return;
  }
  document.title = fresh.title;
  for (const id of ["facts", "main", "footer"]) {
    morph(document.getElementById(id), fresh.getElementById(id));
  }
  announce();
}

function announce() {
  setText("announcement", document.querySelector(".verdict").dataset.announcement);
}

async function refresh() {
  timer = 0;
  try {
    const response = await fetch(pageURL, { cache: "no-store", signal: AbortSignal.timeout(patience) });
    if (!response.ok) {
      throw new Error(`answer ${response.status}`);
    }
    show(await response.text());
    failures = 0;
    lastAnswer = new Date();
    setText("connection", "").hidden = true;
  } catch {
    failures++;
    document.title = document.title.replace(/^[^–]*/, "No answer ");
    setText("connection", `No answer since ${lastAnswer.toLocaleTimeString()}: the numbers are older. Trying again.`).hidden = false;
  }
  schedule(Math.min(interval * 2 ** Math.max(0, failures - 1), longest));
}

function schedule(delay) {
  clearTimeout(timer);
  timer = document.hidden ? 0 : setTimeout(refresh, delay);
}

document.addEventListener("visibilitychange", () => schedule(0));
announce();
schedule(interval);
