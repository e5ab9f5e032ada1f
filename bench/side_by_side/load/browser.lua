-- What Chromium sends with a fetch() across origins, each for another path. With an argument, one field is another each time, too.
local fields = {
  ["Connection"] = "keep-alive",
  ["sec-ch-ua-platform"] = '"Linux"',
  ["Authorization"] = "Bearer 0123456789abcdef0123456789abcdef",
  ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/147.0.0.0 Safari/537.36",
  ["Accept"] = "application/json, text/plain, */*",
  ["sec-ch-ua"] = '"Chromium";v="147", "Not.A/Brand";v="24"',
  ["sec-ch-ua-mobile"] = "?0",
  ["Sec-Fetch-Site"] = "same-site",
  ["Sec-Fetch-Mode"] = "cors",
  ["Sec-Fetch-Dest"] = "empty",
  ["Referer"] = "https://app.example.com/",
  ["Accept-Encoding"] = "gzip, deflate, br, zstd",
  ["Accept-Language"] = "en-GB,en;q=0.9",
  ["Cookie"] = "session=0123456789abcdef0123456789abcdef; theme=dark",
}
for name, value in pairs(fields) do wrk.headers[name] = value end
local unique, count, base = false, 0, ""
function init(arguments)
  unique = arguments[1] == "unique"
  base = wrk.path:match("^(.*/)")
end
function request()
  count = count + 1
  if unique then wrk.headers["X-Unique"] = "value-" .. count end
  return wrk.format(nil, base .. count % 5000 .. "?page=" .. count % 7)
end
