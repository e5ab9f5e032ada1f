wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"text":"' .. string.rep("x", 1012) .. '"}'
-- Each request asks for another path, as most do.
local count, base = 0, ""
function init() base = wrk.path:match("^(.*/)") end
function request()
  count = count + 1
  return wrk.format(nil, base .. count % 5000 .. "?page=" .. count % 7)
end
