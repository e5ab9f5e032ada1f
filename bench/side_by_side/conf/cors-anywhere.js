// As its README starts it.
require("cors-anywhere").createServer({ originWhitelist: [] }).listen(@PORT@, "127.0.0.1");
