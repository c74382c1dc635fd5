// The token comes behind a # in the address, or is typed in; it is exchanged for a cookie that scripts cannot read.

const said = document.getElementById("said");

async function open(token) {
  const answer = await fetch("/api/v1/session", { headers: { Authorization: `Bearer ${token}` } });
  if (answer.ok) {
    location.replace("/");
    return;
  }
  said.textContent = answer.status === 429 ? "Too many attempts: wait a minute." : "That is not the token.";
}

document.getElementById("login").addEventListener("submit", (event) => {
  event.preventDefault();
  open(document.getElementById("token").value);
});

if (location.hash.length > 1) {
  const token = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", "/login"); // it must not stay in the address
  open(token);
}
