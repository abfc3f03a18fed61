// The API's description in Swagger UI. No validator badge: it would ask a server elsewhere.

window.SwaggerUIBundle({
  url: new URL("openapi.json", document.baseURI).href,
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null,
});
