// A classic script in the head: it sets the remembered theme before the first paint. Without one, the system decides.
try {
  const theme = localStorage.getItem("pilothouse.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is off: follow the system.
}
