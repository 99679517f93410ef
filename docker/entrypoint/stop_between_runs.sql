-- Asks the server to stop when no job runs. See primary.sh.
\ir jobs_rest.sql
\! kill -"$SIGNAL" "$SERVER"
