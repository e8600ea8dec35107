-- For wrk with one connection: the median time of a request in microseconds, and of what is left
-- of it without the stages that Server-Timing tells, of the same requests ("-- subtract").
local ffi = require("ffi")
ffi.cdef [[
typedef struct { long s, ns; } bench_time;
int clock_gettime(int clock, bench_time *ret);
]]
local clock, threads = ffi.new("bench_time"), {}

local function now_us()
    ffi.C.clock_gettime(1, clock)
    return tonumber(clock.s) * 1e6 + tonumber(clock.ns) / 1e3
end

function setup(thread)
    table.insert(threads, thread)
end

function init(args)
    subtract, started, samples = args[1] == "subtract", 0, {}
end

function request()
    started = now_us()
    return wrk.format()
end

function response(status, headers)
    local us = now_us() - started
    if subtract then
        -- Waiting for a thread and writing the answer are no part of the search.
        for name, ms in headers["Server-Timing"]:gmatch("(%w+);dur=([%d.]+)") do
            if name ~= "queue" and name ~= "render" then us = us - tonumber(ms) * 1000 end
        end
    end
    samples[#samples + 1] = us
end

function done()
    local all = threads[1]:get("samples")
    table.sort(all)
    print(string.format("median of %d: %.2f us", #all, all[math.floor(#all / 2) + 1]))
end
