-- A new operation, dated today.
call operation_insert_one();
