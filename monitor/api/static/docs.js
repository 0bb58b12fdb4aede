/** The API's documentation: Swagger UI, drawn from the server's own description. */

/** @typedef {Window & { SwaggerUIBundle: (options: Record<string, unknown>) => void }} WithSwagger  The bundle is a script of its own. */

/** @type {WithSwagger} */ (/** @type {unknown} */ (window)).SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
