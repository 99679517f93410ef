-- Ends the sessions with a server that has not been the primary for some seconds, so that their clients connect anew: Patroni starts it again
-- as a replica, or it hangs and would go on when it is thawed.
--
-- `on-marked-down shutdown-sessions` does so at once, and HAProxy 3.0 forgets a session that is just being connected then: its client
-- waits for ever. Later none is: to connect takes `timeout connect`, and then another server is tried.
local SECONDS = 5

core.register_task(function()
    while true do
        core.sleep(1)
        for _, server in pairs(core.backends["primary"].servers) do
            local now = server:get_stats()
            if not now.status:match("^UP") and now.lastchg >= SECONDS and now.scur > 0 then
                server:shut_sess()
            end
        end
    end
end)
