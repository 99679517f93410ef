create extension operations_ext;
call operations_setup();
