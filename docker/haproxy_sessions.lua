-- Ends the sessions with a server that is down in the backend `primary` for some seconds, so that their clients connect anew: one that
-- follows by now takes no writes, and one that is cut off or frozen would answer when it is back.
--
-- `on-marked-down shutdown-sessions` does so at once, and HAProxy (seen with 3.0) forgets a client that is just being connected then: it
-- waits for ever. This waits for longer than `timeout connect`. By then such a client was connected, tried another server (`option
-- redispatch 1`), or was sent away.
local SECONDS = 5

-- For how many looks in a row each server is down. HAProxy's own count is asked, too, for it sees what comes between two looks.
local down = {}

local function look()
    for name, server in pairs(core.backends["primary"].servers) do
        local now = server:get_stats()
        down[name] = now.status:match("^UP") and 0 or (down[name] or 0) + 1
        if down[name] > SECONDS and now.lastchg >= SECONDS and now.scur > 0 then
            server:shut_sess()
        end
    end
end

core.register_task(function()
    while true do
        core.sleep(1)
        local looked, why = pcall(look)
        if not looked then
            core.Alert("sessions with servers that are down are not ended: " .. tostring(why))
        end
    end
end)
