-- What keeps the replica from being healthy, one reason a row: that it does not stream, first of all. One that was promoted is
-- judged as the primary that it is.
\ir doctor.sql
