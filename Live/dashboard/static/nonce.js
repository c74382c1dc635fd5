// Bokeh makes style sheets of its own; the page's policy lets those pass that carry its nonce. Runs before Bokeh does.
{
  const nonce = document.getElementById("nonce").nonce;
  const create = document.createElement;
  document.createElement = function createElement(name, options) {
    const made = create.call(this, name, options);
    if (String(name).toLowerCase() === "style") made.nonce = nonce;
    return made;
  };
}
