wrk.headers["Authorization"] = "Bearer 0123456789abcdef0123456789abcdef"
wrk.headers["Accept"] = "application/json"
wrk.headers["User-Agent"] = "bench"
-- Each request asks for another path, as most do.
local count, base = 0, ""
function init() base = wrk.path:match("^(.*/)") end
function request()
  count = count + 1
  return wrk.format(nil, base .. count % 5000 .. "?page=" .. count % 7)
end
