/* A demo's page looks after itself: it notices that its kernel has gone, says so, and comes back with a new one. */
(() => {
  const LOOK_MS = 10_000;
  const HANG_UP_MS = 8_000;
  const RELOAD_MS = 6_000; // time to read the sentence, and to say no
  const CALM_MS = 20_000; // a page that was loaded anew just now waits longer before it does so again
  const AGAIN = "hall-loaded-anew";

  const config = () => JSON.parse(document.getElementById("jupyter-config-data").textContent);
  let line, words, buttons, timer, keeps = false;
  const loadedAt = Date.now();

  /** Make the line on first use; it is polite to screen readers, and out of the way until there is something to say. */
  function make() {
    line = document.createElement("div");
    line.className = "hall-line";
    line.hidden = true;
    words = document.createElement("span");
    words.setAttribute("role", "status");
    buttons = document.createElement("span");
    line.append(words, buttons);
    document.body.append(line);
  }

  function say(sentence, ...choices) {
    if (!line) make();
    line.hidden = !sentence;
    if (words.textContent !== sentence) words.textContent = sentence;
    buttons.replaceChildren(
      ...choices.map(([label, act]) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = label;
        button.addEventListener("click", act);
        return button;
      }),
    );
  }

  /** Ask whether the kernel lives: true, false, or null when the hall does not answer. */
  async function look() {
    const { baseUrl, kernelId } = config();
    try {
      const answer = await fetch(`${baseUrl}api/kernels/${kernelId}`, {
        cache: "no-store",
        signal: AbortSignal.timeout(HANG_UP_MS),
      });
      return answer.ok ? true : answer.status === 404 || answer.status === 403 ? false : null;
    } catch {
      return null;
    }
  }

  function loadAnew() {
    sessionStorage.setItem(AGAIN, String(Date.now()));
    location.reload();
  }

  function keep() {
    keeps = true;
    clearTimeout(timer);
    timer = undefined;
    say("What is written here stays, but nothing new can be asked.", ["Load anew", loadAnew]);
  }

  function mourn() {
    if (timer || keeps) return;
    const wait = Date.now() - loadedAt < CALM_MS ? CALM_MS : RELOAD_MS;
    say(
      "This page was left alone for too long, or its process ended. It loads itself anew.",
      ["Load now", loadAnew],
      ["Keep what is written", keep],
    );
    timer = setTimeout(loadAnew, wait);
  }

  async function watch() {
    if (document.visibilityState !== "visible" || timer || keeps) return;
    const lives = await look();
    if (lives === false) mourn();
    else if (lives === null) say("The hall does not answer. This page goes on by itself when it is back.");
    else if (line && !line.hidden && !told) say("");
  }

  let told = false;
  function begin() {
    const at = Number(sessionStorage.getItem(AGAIN));
    if (at && Date.now() - at < 60_000) {
      told = true;
      say("This page was loaded anew and is ready.");
      setTimeout(() => ((told = false), timer || keeps || say("")), 6_000);
    }
    sessionStorage.removeItem(AGAIN);
    setInterval(watch, LOOK_MS);
    for (const [where, what] of [[document, "visibilitychange"], [window, "pageshow"], [window, "online"]])
      where.addEventListener(what, watch);
  }

  begin();
})();
