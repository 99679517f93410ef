create type @extschema@.operation_type_enum as enum ('offline', 'online');

comment on type @extschema@.operation_type_enum is
    'How an operation came in: offline (branch, cash machine, till) or online (web, application, card on file).';
