-- So many requests with one write: wrk ... -- DEPTH. wrk sees how many answers are due.
local batch

function init(args)
    batch = string.rep(wrk.format("GET"), tonumber(args[1]))
end

function request()
    return batch
end
