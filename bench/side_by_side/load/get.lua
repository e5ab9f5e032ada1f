wrk.headers["Authorization"] = "Bearer 0123456789abcdef0123456789abcdef"
wrk.headers["Accept"] = "application/json"
wrk.headers["User-Agent"] = "bench"
