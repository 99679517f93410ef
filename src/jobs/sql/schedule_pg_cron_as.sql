select cron.schedule_in_database($1, $2, $3, current_database()::text, $4)
