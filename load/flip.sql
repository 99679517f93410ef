-- A small batch of new operations gets done, and the view is brought up to date.
call change_status(100);
