/* What scrolls sideways, such as a wide table on a phone, can be reached by keyboard: it takes the focus. */
if (!window.chexmodelReach) {
  const reach = () => {
    for (const part of document.querySelectorAll("[data-testid='stMarkdownContainer'], .stMarkdown pre")) {
      if (part.scrollWidth > part.clientWidth + 1) part.tabIndex = 0;
      else if (part.tabIndex === 0) part.removeAttribute("tabindex");
    }
  };
  let waiting = 0;
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(reach, 200);
  };
  window.chexmodelReach = new MutationObserver(soon);
  window.chexmodelReach.observe(document.body, { childList: true, subtree: true });
  window.addEventListener("resize", soon);
  soon();
}
