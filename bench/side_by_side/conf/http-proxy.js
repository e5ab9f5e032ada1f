// node's http-proxy with the CORS that its users write by hand.
const http = require("http");
const proxy = require("http-proxy").createProxyServer({
  target: "http://127.0.0.1:@UPSTREAM@",
  agent: new http.Agent({ keepAlive: true, maxSockets: 64 }),
});
proxy.on("error", (error, request, response) => response.destroy());
const grant = (response) => {
  response.setHeader("Access-Control-Allow-Origin", "@ORIGIN@");
  response.setHeader("Access-Control-Allow-Credentials", "true");
  response.setHeader("Vary", "Origin");
};
http
  .createServer((request, response) => {
    const isAllowed = request.headers.origin === "@ORIGIN@";
    if (isAllowed) grant(response);
    if (isAllowed && request.method === "OPTIONS" && request.headers["access-control-request-method"]) {
      response.setHeader("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE");
      response.setHeader("Access-Control-Allow-Headers", "authorization, content-type");
      response.setHeader("Access-Control-Max-Age", "600");
      response.writeHead(204).end();
    } else proxy.web(request, response);
  })
  .listen(@PORT@, "127.0.0.1");
